import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { change, href, query } from "../address.ts";
import { Empty, Head, Problem } from "../frame.tsx";
import { count, duration, number, oneLine } from "../format.ts";
import { HttpError, getJson, withQuery } from "../http.ts";
import { useLoaded } from "../loaded.ts";
import { followChanges } from "../live.ts";
import { Rows } from "../rows.tsx";
import { Plain } from "../text.tsx";
import type { FramesTurn, Session, SessionFramesPage, SessionList, SessionSummary } from "../wire.ts";
import { Conversation } from "./conversation.tsx";
import { type Frame, addressOf, clock, indexOf, summary } from "./playback.ts";
import { Scrubber } from "./scrubber.tsx";

const TURNS = 200;
const MOST_FRAMES = 50_000;
const FOLDED_PAUSE_MS = 500;
const at = query("at");

/** A session by its id alone: the list knows its agent. */
async function found(id: string, signal: AbortSignal): Promise<SessionSummary> {
  const list = await getJson<SessionList>(withQuery("/v1alpha/sessions", { q: id, limit: 1000 }), signal);
  const session = list.data.find((one) => one.session_id === id);
  if (!session) throw new HttpError(404, "There is no session with this id. It may have been deleted.", 0);
  return session;
}

export function SessionView({ id }: { id: string }) {
  const { value, error, again } = useLoaded(id, (signal) => found(id, signal));
  if (error)
    return (
      <>
        <Head title="Session" />
        <Problem error={error} again={again} />
      </>
    );
  return value ? <Opened summary={value} /> : <Head title="Session" />;
}

function Opened({ summary: session }: { summary: SessionSummary }) {
  const path = `/v1alpha/agents/${session.agent_id}/session/${session.session_id}`;
  const [shownTurns, setShownTurns] = useState(TURNS);
  const [changes, setChanges] = useState(0);
  const turns = useLoaded(`${path} ${shownTurns} ${changes}`, (signal) =>
    getJson<Session>(withQuery(path, { limit: shownTurns }), signal),
  );
  const recorded = useFrames(path, changes);
  const frames = recorded.frames;
  const index = indexOf(frames, at.value);
  const times = useMemo(() => clock(frames, FOLDED_PAUSE_MS), [frames]);

  useEffect(
    () => followChanges({ stream: `session/${session.session_id}` }, 300, () => setChanges((one) => one + 1)),
    [session.session_id],
  );

  const show = (to: number) => {
    const frame = frames[Math.max(0, Math.min(frames.length - 1, to))];
    if (frame) change({ at: addressOf(frame) });
  };
  return (
    <div class="place session">
      <Head title={oneLine(session.session_name, 120) || "(no name)"}>
        <span class="quiet">
          {count(turns.value?.turns.length ?? session.turn_count, "turn")}
          {frames.length > 0 && ` · ${count(frames.length, "frame")} · ${duration(times.at(-1) ?? 0)}`}
        </span>
        <a class="quiet" href={href("sessions", "", { agent: session.agent_id })}>
          agent {session.agent_id.slice(0, 8)}
        </a>
        {session.parent_session_id && (
          <a class="quiet" href={href("sessions", session.parent_session_id)}>
            forked from {session.parent_session_id.slice(0, 8)}
          </a>
        )}
        {index >= 0 && (
          <button type="button" class="chip" onClick={() => change({ at: "" }, true)}>
            at {at.value} ×
          </button>
        )}
      </Head>
      {turns.error && <Problem error={turns.error} again={turns.again} />}
      {recorded.error && <Problem error={recorded.error} />}
      <div class="split">
        <section class="conversation" aria-label="Conversation" tabIndex={0}>
          {turns.value?.turns.length === 0 && <Empty>No turns yet.</Empty>}
          {turns.value && <Conversation turns={turns.value.turns} frames={frames} index={index} numbers={recorded.turns} />}
          {turns.value && turns.value.turns.length >= shownTurns && (
            <button type="button" onClick={() => setShownTurns(shownTurns + TURNS)}>
              Show more turns: these are the first {number(shownTurns)}
            </button>
          )}
        </section>
        <aside class="frames" aria-label="Frames">
          <Rows
            count={frames.length}
            height={22}
            label="Frames"
            at={index}
            row={(row) => <FrameRow frame={frames[row] as Frame} isShown={row === index} show={() => show(row)} />}
          />
          {recorded.isCut && (
            <button type="button" onClick={recorded.more}>
              Load more frames: these are the first {number(frames.length)}
            </button>
          )}
          {index >= 0 && (
            <div class="frame-detail">
              <Plain text={JSON.stringify(frames[index]?.[3], null, 1)} />
            </div>
          )}
        </aside>
      </div>
      {frames.length > 0 && <Scrubber frames={frames} times={times} index={index} show={show} />}
    </div>
  );
}

function FrameRow({ frame, isShown, show }: { frame: Frame; isShown: boolean; show: () => void }) {
  const { kind, what } = summary(frame[3]);
  return (
    <button type="button" class={`row frame-row ${isShown ? "shown" : ""}`} onClick={show} tabIndex={-1}>
      <span class="frame-id">
        {frame[0]}:{frame[2]}
      </span>
      <span class="frame-kind">{kind}</span>
      <span class="words">{oneLine(what, 80)}</span>
    </button>
  );
}

interface Recorded {
  frames: Frame[];
  turns: FramesTurn[];
  error?: HttpError;
  isCut: boolean;
  more: () => void;
}

/** The frames of the session, page by page; with each change those that were added. */
function useFrames(path: string, changes: number): Recorded {
  const [frames, setFrames] = useState<Frame[]>([]);
  const [turns, setTurns] = useState<FramesTurn[]>([]);
  const [error, setError] = useState<HttpError>();
  const [most, setMost] = useState(MOST_FRAMES);
  const [isCut, setCut] = useState(false);
  const next = useRef("");
  const had = useRef(0);
  useEffect(() => {
    const control = new AbortController();
    const load = async () => {
      try {
        for (;;) {
          if (had.current >= most) return setCut(true);
          const page = await getJson<SessionFramesPage>(withQuery(`${path}/frames`, { after: next.current }), control.signal);
          next.current = page.next;
          had.current += page.data.length;
          if (page.data.length > 0) setFrames((shown) => [...shown, ...(page.data as unknown as Frame[])]);
          if (page.turns.length > 0)
            setTurns((known) => [...known.filter((one) => !page.turns.some((other) => other.turn === one.turn)), ...page.turns]);
          setError(undefined);
          if (!page.has_more) return setCut(false);
        }
      } catch (failed) {
        if (failed instanceof HttpError) setError(failed);
      }
    };
    void load();
    return () => control.abort();
  }, [path, changes, most]);
  return { frames, turns, isCut, more: () => setMost(most + MOST_FRAMES), ...(error ? { error } : {}) };
}
