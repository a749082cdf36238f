// The frames of a session, and what the conversation looks like at one of them.
import type { CompletionMessage, InterleavedContent, SafetyViolation, ToolCall, ToolResponse } from "../wire.ts";

/** A step of any kind, as the API returns it. */
export interface Step {
  step_type: string;
  step_id: string;
  started_at?: string;
  completed_at?: string;
  model_response?: CompletionMessage;
  tool_calls?: ToolCall[];
  tool_responses?: ToolResponse[];
  violation?: SafetyViolation;
  inserted_context?: InterleavedContent;
}

/** Number of the turn, counted from 1; milliseconds since its start; id in its stream; what was sent. */
export type Frame = [turn: number, atMs: number, id: string, frame: FrameData];

export interface FrameData {
  event?: { payload: Payload };
  error?: { message?: string; detail?: string };
}

export interface Payload {
  event_type: string;
  step_type?: string;
  step_id?: string;
  turn_id?: string;
  delta?: { type: string; text?: string; tool_call?: string | ToolCall; parse_status?: string };
  step_details?: Step;
}

export interface Item {
  kind: "answer" | "call" | "result" | "violation" | "retrieval" | "error";
  key: string;
  name: string;
  text: string;
  isOpen: boolean;
}

/** What a step shows when it is complete. */
export function itemsOf(step: Step): Item[] {
  const items: Item[] = [];
  const add = (kind: Item["kind"], name: string, text: string) =>
    items.push({ kind, key: `${step.step_id}.${items.length}`, name, text, isOpen: false });
  const answer = step.model_response;
  if (answer) {
    const text = textOf(answer.content);
    if (text !== "") add("answer", "", text);
    for (const call of answer.tool_calls ?? []) add("call", call.tool_name, argumentsOf(call));
  }
  for (const response of step.tool_responses ?? []) add("result", response.tool_name, contentOf(response));
  if (step.violation) add("violation", step.violation.violation_level ?? "violation", step.violation.user_message ?? "");
  if (step.step_type === "memory_retrieval") add("retrieval", "retrieved", textOf(step.inserted_context));
  return items;
}

/** What the frames of one turn show so far: whole steps, and the one that streams. */
export function fold(frames: readonly Frame[]): Item[] {
  const items: Item[] = [];
  let began = 0;
  let open: Item | undefined;
  const streamed = (kind: Item["kind"], key: string, text: string) => {
    if (open?.kind !== kind) {
      open = { kind, key, name: "", text: "", isOpen: true };
      items.push(open);
    }
    open.text += text;
  };
  for (const frame of frames) {
    const [, , , data] = frame;
    const key = addressOf(frame);
    const payload = data.event?.payload;
    if (!payload) {
      items.push({ kind: "error", key, name: "error", text: errorOf(data), isOpen: false });
    } else if (payload.event_type === "step_start") {
      began = items.length;
      open = undefined;
    } else if (payload.event_type === "step_complete" && payload.step_details) {
      // What has streamed is replaced by what was recorded.
      items.length = began;
      items.push(...itemsOf(payload.step_details));
      began = items.length;
      open = undefined;
    } else if (payload.delta?.type === "text" && payload.delta.text) {
      streamed("answer", key, payload.delta.text);
    } else if (typeof payload.delta?.tool_call === "string") {
      streamed("call", key, payload.delta.tool_call);
    } else if (payload.delta?.tool_call) {
      // The whole call follows its pieces.
      if (open?.kind === "call") items.pop();
      const call = payload.delta.tool_call;
      items.push({ kind: "call", key, name: call.tool_name, text: argumentsOf(call), isOpen: false });
      open = undefined;
    }
  }
  return items;
}

function errorOf(data: FrameData): string {
  return data.error?.detail ?? data.error?.message ?? "";
}

export function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (Array.isArray(content)) return content.map(textOf).join("");
  if (content && typeof content === "object") {
    const item = content as { type?: string; text?: unknown };
    if (typeof item.text === "string") return item.text;
    return item.type === "image" ? "[image]" : JSON.stringify(content);
  }
  return "";
}

export function argumentsOf(call: ToolCall): string {
  return typeof call.arguments === "string" ? call.arguments : JSON.stringify(call.arguments);
}

function contentOf(response: ToolResponse): string {
  return textOf(response.content);
}

/** The frame in a few words. */
export function summary(frame: FrameData): { kind: string; what: string } {
  const payload = frame.event?.payload;
  if (!payload) return { kind: "error", what: errorOf(frame) };
  const delta = payload.delta;
  if (delta) {
    const call = delta.tool_call;
    const what = delta.text ?? (typeof call === "string" ? call : call ? `${call.tool_name}(…)` : delta.type);
    return { kind: payload.event_type, what };
  }
  return { kind: payload.event_type, what: payload.step_type ?? "" };
}

/** The index of the frame with this address, `turn.id`; -1 if there is none. */
export function indexOf(frames: readonly Frame[], at: string): number {
  return at === "" ? -1 : frames.findIndex(([turn, , id]) => `${turn}.${id}` === at);
}

export function addressOf(frame: Frame): string {
  return `${frame[0]}.${frame[2]}`;
}

/** Times at which frames are shown, in milliseconds since the first: pauses between turns are folded to `pauseMs`. */
export function clock(frames: readonly Frame[], pauseMs: number): number[] {
  const times: number[] = [];
  let base = 0;
  let turn = frames[0]?.[0] ?? 0;
  let last = 0;
  for (const [number, atMs] of frames) {
    if (number !== turn) {
      base += last + pauseMs;
      turn = number;
      last = 0;
    }
    last = Math.max(last, atMs);
    times.push(base + last);
  }
  return times;
}

/** The first index whose time is greater than `at`, minus 1. */
export function frameAt(times: readonly number[], at: number): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] ?? 0) <= at) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
