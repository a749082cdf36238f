import { useEffect, useRef, useState } from "preact/hooks";
import { change, href, query } from "../address.ts";
import { Empty, Head, Problem, Status } from "../frame.tsx";
import { count, number, oneLine, time } from "../format.ts";
import { HttpError, getJson, withQuery } from "../http.ts";
import { followChanges } from "../live.ts";
import { Rows } from "../rows.tsx";
import type { SessionList, SessionSummary } from "../wire.ts";

const PAGE = 100;
const TYPING_MS = 250;
const words = query("q");
const sort = query("sort");
const agent = query("agent");

const path = (before?: number) =>
  withQuery("/v1alpha/sessions", { q: words.value, sort: sort.value || "active", agent_id: agent.value, before, limit: PAGE });

export function Sessions() {
  const [rows, setRows] = useState<SessionSummary[]>();
  const [next, setNext] = useState<number>();
  const [error, setError] = useState<HttpError>();
  const [round, setRound] = useState(0);
  const loading = useRef<AbortController | undefined>(undefined);
  const key = `${words.value}\n${sort.value}\n${agent.value}`;

  const load = async (before?: number) => {
    loading.current?.abort();
    const control = new AbortController();
    loading.current = control;
    try {
      const page = await getJson<SessionList>(path(before), control.signal);
      setRows((shown) => (before === undefined ? page.data : merged(shown ?? [], page.data)));
      setNext(page.next);
      setError(undefined);
    } catch (failed) {
      if (failed instanceof HttpError) setError(failed);
    } finally {
      if (loading.current === control) loading.current = undefined;
    }
  };
  useEffect(() => {
    void load();
    return () => loading.current?.abort();
  }, [key, round]);
  useEffect(() => {
    // What happens now is at the top: the first page is asked for again, at most twice a second.
    const refresh = async () => {
      try {
        const page = await getJson<SessionList>(path());
        // The last page has everything: what it lacks was deleted.
        setRows((shown) => (page.next === undefined ? page.data : merged(page.data, shown ?? [])));
      } catch {
        // The next event asks again.
      }
    };
    return followChanges({ name: "agent.*,session.*,turn.*" }, 500, () => void refresh());
  }, [key]);

  return (
    <div class="place">
      <Head title="Sessions">
        <Search />
        <select
          aria-label="Order"
          value={sort.value || "active"}
          onChange={(event) => change({ sort: event.currentTarget.value === "active" ? "" : event.currentTarget.value })}
        >
          <option value="active">last event first</option>
          <option value="created">newest first</option>
        </select>
        {agent.value && (
          <button type="button" class="chip" onClick={() => change({ agent: "" }, true)}>
            agent {agent.value.slice(0, 8)} ×
          </button>
        )}
        {rows && (
          <span class="quiet">
            {next === undefined ? count(rows.length, "session") : `the first ${number(rows.length)}, more below`}
          </span>
        )}
      </Head>
      {error && <Problem error={error} again={() => setRound(round + 1)} />}
      {rows && rows.length === 0 && !error && (
        <Empty>
          {words.value || agent.value ? "No session matches." : "No sessions yet. Start one: POST /v1alpha/agents, then its session and a turn."}
        </Empty>
      )}
      {rows && rows.length > 0 && (
        <Rows
          count={rows.length}
          height={52}
          label="Sessions"
          row={(index) => <Row session={rows[index] as SessionSummary} />}
          onNearEnd={() => next !== undefined && !loading.current && void load(next)}
        />
      )}
    </div>
  );
}

/** The rows of `first`, then those of `then` that it lacks. */
function merged(first: SessionSummary[], then: SessionSummary[]): SessionSummary[] {
  const seen = new Set(first.map((one) => one.session_id));
  return [...first, ...then.filter((one) => !seen.has(one.session_id))];
}

function Search() {
  const waiting = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  return (
    <input
      type="search"
      placeholder="Search names, messages, ids"
      aria-label="Search sessions"
      value={words.value}
      onInput={(event) => {
        const text = event.currentTarget.value;
        clearTimeout(waiting.current);
        waiting.current = setTimeout(() => change({ q: text }), TYPING_MS);
      }}
    />
  );
}

function Row({ session }: { session: SessionSummary }) {
  const tokens = (session.input_tokens ?? 0) + (session.output_tokens ?? 0);
  return (
    <a class="row session-row" href={href("sessions", session.session_id)}>
      <span class="grow">
        <span class="name">
          {oneLine(session.session_name, 120) || "(no name)"}
          {session.parent_session_id && <span class="tag">fork</span>}
        </span>
        <span class="words">{session.first_words ? oneLine(session.first_words, 200) : "no turns"}</span>
      </span>
      <span class="cell">{session.status && <Status name={session.status} />}</span>
      <span class="cell number">{count(session.turn_count, "turn")}</span>
      <span class="cell number">{tokens > 0 ? count(tokens, "token") : ""}</span>
      <time class="cell number" dateTime={session.last_event_at ?? session.started_at}>
        {time(session.last_event_at ?? session.started_at)}
      </time>
    </a>
  );
}
