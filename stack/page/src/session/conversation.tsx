import { useEffect, useMemo, useRef } from "preact/hooks";
import { Status } from "../frame.tsx";
import { between, duration, oneLine, time } from "../format.ts";
import { Markdown, Plain } from "../text.tsx";
import type { FramesTurn, Turn } from "../wire.ts";
import { type Frame, type Item, type Step, fold, itemsOf, textOf } from "./playback.ts";

interface Props {
  turns: Turn[];
  numbers: FramesTurn[];
  frames: Frame[];
  index: number;
}

/** The turns as they are, or as they were at the frame `index`. */
export function Conversation({ turns, numbers, frames, index }: Props) {
  const byId = useMemo(() => new Map(numbers.map((one) => [one.turn_id, one])), [numbers]);
  const current = index < 0 ? 0 : (frames[index]?.[0] ?? 0);
  const items = useMemo(() => {
    if (index < 0) return [];
    let first = index;
    while (first > 0 && frames[first - 1]?.[0] === current) first -= 1;
    return fold(frames.slice(first, index + 1));
  }, [frames, index]);
  // A failed turn says why in its last frame only.
  const errors = useMemo(() => new Map(frames.filter((one) => one[3].error).map((one) => [one[0], fold([one])])), [frames]);
  return (
    <>
      {turns.map((turn, place) => {
        const known = byId.get(turn.turn_id);
        const number = known?.turn ?? place + 1;
        if (current > 0 && number > current) return null;
        const isCurrent = number === current;
        const error = known?.status === "failed" && !isCurrent ? errors.get(number) : undefined;
        return (
          <TurnView
            key={turn.turn_id}
            turn={turn}
            number={number}
            status={known?.status}
            isAt={isCurrent}
            items={isCurrent ? items : undefined}
            error={error}
          />
        );
      })}
    </>
  );
}

interface TurnProps {
  turn: Turn;
  number: number;
  status: string | undefined;
  isAt: boolean;
  items: Item[] | undefined;
  error: Item[] | undefined;
}

function TurnView({ turn, number, status, isAt, items, error }: TurnProps) {
  const element = useRef<HTMLElement>(null);
  useEffect(() => {
    if (isAt) element.current?.scrollIntoView({ block: "nearest" });
  }, [isAt, items]);
  const whole = useMemo(() => (turn.steps as Step[]).flatMap(itemsOf), [turn]);
  const shown = items ?? [...whole, ...(error ?? [])];
  const took = turn.completed_at ? between(turn.started_at, turn.completed_at) : undefined;
  return (
    <article class="turn" ref={element} aria-label={`Turn ${number}`}>
      <h2>
        Turn {number}
        <time dateTime={turn.started_at}>{time(turn.started_at)}</time>
        {took !== undefined && <span>{duration(took)}</span>}
        {status && status !== "completed" && <Status name={status} />}
      </h2>
      {turn.input_messages.map((message) => (
        <div class="bubble user">
          <Markdown text={textOf(message.content)} />
        </div>
      ))}
      {shown.map((item) => (
        <ItemView key={item.key} item={item} />
      ))}
    </article>
  );
}

function ItemView({ item }: { item: Item }) {
  if (item.kind === "answer")
    return (
      <div class={`bubble answer ${item.isOpen ? "streams" : ""}`}>
        <Markdown text={item.text} />
      </div>
    );
  if (item.kind === "error" || item.kind === "violation")
    return (
      <div class="note bad">
        <strong>{item.name}</strong> <Plain text={item.text} />
      </div>
    );
  return (
    <details class={`note ${item.kind}`} open={item.text.length < 400}>
      <summary>
        <strong>{item.kind === "result" ? `${item.name} returned` : item.name || "tool call"}</strong> <code>{oneLine(item.text, 120)}</code>
      </summary>
      <Plain text={ordered(item.text)} />
    </details>
  );
}

/** JSON with line breaks; other text as it is. */
function ordered(text: string): string {
  if (text.length > 200_000 || !/^[[{]/.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
