import { useEffect, useState } from "preact/hooks";
import { change, href, query } from "../address.ts";
import { Empty, Head, Problem } from "../frame.tsx";
import { number, oneLine, time } from "../format.ts";
import { HttpError, getJson, withQuery } from "../http.ts";
import { follow } from "../live.ts";
import { Rows } from "../rows.tsx";
import { Plain } from "../text.tsx";
import type { LogEvent, LogEventPage } from "../wire.ts";

const PAGE = 1000;
const name = query("name");
const stream = query("stream");
const from = query("from");
const shown = query("at");

/** The log from a position on, filtered; what is recorded is added at the end. */
export function Events() {
  const [events, setEvents] = useState<LogEvent[]>([]);
  const [page, setPage] = useState<LogEventPage>();
  const [error, setError] = useState<HttpError>();
  const [round, setRound] = useState(0);
  const [isFollowing, setFollowing] = useState(true);
  const filters = { name: name.value, stream: stream.value };
  const key = `${name.value}\n${stream.value}\n${from.value}\n${round}`;

  const load = async (after: string | number, signal?: AbortSignal) => {
    try {
      const found = await getJson<LogEventPage>(withQuery("/v1alpha/events", { ...filters, after, limit: PAGE }), signal);
      setPage(found);
      setEvents((before) => [...before, ...found.data]);
      setError(undefined);
      return found;
    } catch (failed) {
      if (failed instanceof HttpError) setError(failed);
      return undefined;
    }
  };
  useEffect(() => {
    const control = new AbortController();
    setEvents([]);
    setPage(undefined);
    void start(filters, from.value, control.signal).then((after) => {
      if (!control.signal.aborted) void load(after, control.signal);
    });
    return () => control.abort();
  }, [key]);
  useEffect(() => {
    if (!page || page.has_more || !isFollowing) return;
    return follow(
      (after) => withQuery("/v1alpha/events", { ...filters, follow: "true", after }),
      String(page.next),
      (sent) => setEvents((before) => [...before, ...sent.map((one) => JSON.parse(one.data) as LogEvent)]),
    );
  }, [page, isFollowing]);

  const index = shown.value === "" ? -1 : events.findIndex((one) => String(one.position) === shown.value);
  const first = events[0]?.position ?? 0;
  return (
    <div class="place">
      <Head title="Events">
        <Filter label="Name" hint="turn.*" value={name.value} set={(text) => change({ name: text })} />
        <Filter label="Stream" hint="session or session/<id>" value={stream.value} set={(text) => change({ stream: text })} />
        <Filter label="From position" hint="the newest" value={from.value} set={(text) => change({ from: text })} />
        <label class="quiet">
          <input type="checkbox" checked={isFollowing} onChange={(event) => setFollowing(event.currentTarget.checked)} /> follow
        </label>
        {page && (
          <span class="quiet">
            {events.length === 0 ? "" : `${number(events.length)} shown, from position ${number(first)} on`}
            {page.has_more ? " · more below" : ` · the log has ${number(page.head)}`}
          </span>
        )}
      </Head>
      {error && <Problem error={error} again={() => setRound(round + 1)} />}
      {page && events.length === 0 && !error && (
        <Empty>
          No event {first === 0 && from.value === "" ? "among the newest " : ""}matches.{" "}
          <button type="button" class="quiet" onClick={() => change({ from: "0" })}>
            Look from the beginning
          </button>
        </Empty>
      )}
      <div class="split">
        <Rows
          count={events.length}
          height={26}
          label="Events"
          at={index < 0 && isFollowing && !page?.has_more ? events.length - 1 : index}
          row={(row) => <Row event={events[row] as LogEvent} isShown={row === index} />}
          onNearEnd={() => page?.has_more && void load(page.next)}
        />
        {index >= 0 && <Detail event={events[index] as LogEvent} />}
      </div>
    </div>
  );
}

/** Where to begin: at the given position, or so that the newest page is shown. */
async function start(filters: Record<string, string>, given: string, signal: AbortSignal): Promise<string | number> {
  if (given !== "") return /^\d+$/.test(given) ? Math.max(0, Number(given) - 1) : given;
  try {
    const end = await getJson<LogEventPage>(withQuery("/v1alpha/events", { ...filters, after: "end", limit: 1 }), signal);
    return Math.max(0, end.head - PAGE);
  } catch {
    return 0;
  }
}

function Filter({ label, hint, value, set }: { label: string; hint: string; value: string; set: (text: string) => void }) {
  return <input aria-label={label} title={label} placeholder={`${label}: ${hint}`} value={value} onChange={(event) => set(event.currentTarget.value.trim())} />;
}

function Row({ event, isShown }: { event: LogEvent; isShown: boolean }) {
  return (
    <button type="button" class={`row event-row ${isShown ? "shown" : ""}`} onClick={() => change({ at: String(event.position) })}>
      <span class="cell number">{number(event.position)}</span>
      <span class="cell">{time(event.recorded_at)}</span>
      <span class="event-name">{event.name}</span>
      <span class="words">{event.damage ? `damaged: ${event.damage}` : event.deleted ? "deleted" : oneLine(JSON.stringify(event.event ?? {}), 200)}</span>
      <span class="cell quiet">{event.stream.length > 24 ? `${event.stream.slice(0, 24)}…` : event.stream}</span>
    </button>
  );
}

function Detail({ event }: { event: LogEvent }) {
  const [category = "", id = ""] = event.stream.split("/", 2);
  return (
    <aside class="detail" aria-label="Event">
      <h2>
        {event.name} <span class="quiet">at {number(event.position)}</span>
      </h2>
      <p class="quiet">
        <a href={href("events", "", { stream: event.stream, from: "0" })}>{event.stream}</a>, version {event.version}
        {category === "session" && (
          <>
            {" · "}
            <a href={href("sessions", id)}>open the session</a>
          </>
        )}
      </p>
      <Plain text={JSON.stringify(event.event ?? { deleted: event.deleted, damage: event.damage }, null, 2)} />
    </aside>
  );
}
