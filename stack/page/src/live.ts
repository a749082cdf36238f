// One stream for each tab in sight, none for a hidden one: a browser has six connections for all of them. It continues
// after the last event that it got.
import { signal } from "@preact/signals";
import { HttpError, headers, withQuery } from "./http.ts";
import { Events, type Sent } from "./sse.ts";

export type State = "off" | "connecting" | "live" | "waiting";
export const state = signal<State>("off");

const LONGEST_WAIT_MS = 15_000;

/** Follows `path`, which takes `after`, from `after` on, until the returned function is called. */
export function follow(path: (after: string) => string, after: string, seen: (events: Sent[]) => void): () => void {
  let last = after;
  let stopped = false;
  let running: AbortController | undefined;
  let waiting: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;

  const stop = () => {
    running?.abort();
    running = undefined;
    clearTimeout(waiting);
  };
  const again = () => {
    if (stopped || document.hidden) return;
    state.value = "waiting";
    const wait = Math.min(LONGEST_WAIT_MS, 500 * 2 ** failures) * (0.5 + Math.random() / 2);
    failures += 1;
    waiting = setTimeout(start, wait);
  };
  const start = async () => {
    stop();
    const control = new AbortController();
    running = control;
    state.value = "connecting";
    try {
      const answer = await fetch(path(last), { headers: headers({ accept: "text/event-stream" }), signal: control.signal });
      if (!answer.ok || !answer.body) throw new HttpError(answer.status, "", 0);
      state.value = "live";
      failures = 0;
      const events = new Events();
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        const found = events.take(value);
        const end = found.at(-1);
        if (end) {
          last = end.id;
          seen(found);
        }
      }
    } catch {
      // The server went away, or the tab left: both are handled below.
    }
    if (running === control) again();
  };
  const turned = () => {
    if (document.hidden) {
      stop();
      state.value = "off";
    } else if (!running) void start();
  };
  document.addEventListener("visibilitychange", turned);
  if (!document.hidden) void start();
  return () => {
    stopped = true;
    stop();
    state.value = "off";
    document.removeEventListener("visibilitychange", turned);
  };
}

/** Calls `changed` when events arrive, once for those that come within `waitMs` of the first. */
export function followChanges(filter: Record<string, string>, waitMs: number, changed: () => void): () => void {
  let waiting: ReturnType<typeof setTimeout> | undefined;
  const stop = follow(
    (after) => withQuery("/v1alpha/events", { ...filter, follow: "true", after }),
    "end",
    () => {
      waiting ??= setTimeout(() => {
        waiting = undefined;
        changed();
      }, waitMs);
    },
  );
  return () => {
    stop();
    clearTimeout(waiting);
  };
}
