import { useEffect, useState } from "preact/hooks";
import { change, href, query } from "../address.ts";
import { Empty, Head, Problem, Status } from "../frame.tsx";
import { between, count, duration, number, oneLine, time } from "../format.ts";
import { HttpError, postJson } from "../http.ts";
import { useLoaded } from "../loaded.ts";
import { Rows } from "../rows.tsx";
import type { Trace } from "../wire.ts";
import { parsed } from "./filter.ts";

/** What `details=true` adds. */
interface TraceDetails extends Trace {
  name: string;
  service?: string;
  span_count: number;
  error_count?: number;
  input_tokens?: number;
  output_tokens?: number;
  models?: string[];
}

const PAGE = 200;
const words = query("q");
const sort = query("sort");
const ORDERS = [
  ["-start_time", "newest first"],
  ["-duration", "longest first"],
  ["-span_count", "most spans first"],
] as const;

export function Traces() {
  const [pages, setPages] = useState(1);
  const { conditions, problem } = parsed(words.value);
  const order = sort.value || ORDERS[0][0];
  const traces = useLoaded(`${words.value}\n${order}\n${pages}`, async (signal): Promise<TraceDetails[]> => {
    if (problem) throw new HttpError(400, problem, 0);
    const body = { attribute_filters: conditions, order_by: [order], limit: PAGE * pages + 1 };
    return (await postJson<{ data: TraceDetails[] }>("/v1alpha/telemetry/traces?details=true", body, signal)).data;
  });
  useEffect(() => setPages(1), [words.value, order]);
  const found = traces.value ?? [];
  const hasMore = found.length > PAGE * pages;
  const shown = hasMore ? found.slice(0, -1) : found;
  return (
    <div class="place">
      <Head title="Traces">
        <input
          class="wide"
          aria-label="Filter"
          placeholder="span.status=error span.duration_ms>500 gen_ai.request.model=…"
          value={words.value}
          onChange={(event) => change({ q: event.currentTarget.value.trim() })}
        />
        <select aria-label="Order" value={order} onChange={(event) => change({ sort: event.currentTarget.value === ORDERS[0][0] ? "" : event.currentTarget.value })}>
          {ORDERS.map(([value, title]) => (
            <option value={value}>{title}</option>
          ))}
        </select>
        <button type="button" class="quiet" onClick={traces.again}>
          Refresh
        </button>
        {traces.value && (
          <span class="quiet">{hasMore ? `the first ${number(shown.length)}, more below` : count(shown.length, "trace")}</span>
        )}
      </Head>
      {traces.error && <Problem error={traces.error} again={traces.again} />}
      {traces.value && shown.length === 0 && !traces.error && (
        <Empty>{words.value ? "No trace matches." : "No traces yet. Turns make them, and anything that sends OTLP to this server."}</Empty>
      )}
      <Rows
        count={shown.length}
        height={30}
        label="Traces"
        row={(index) => <Row trace={shown[index] as TraceDetails} />}
        onNearEnd={() => hasMore && !traces.isLoading && setPages(pages + 1)}
      />
    </div>
  );
}

function Row({ trace }: { trace: TraceDetails }) {
  const tokens = (trace.input_tokens ?? 0) + (trace.output_tokens ?? 0);
  const took = trace.end_time ? between(trace.start_time, trace.end_time) : Number.NaN;
  return (
    <a class="row trace-row" href={href("traces", trace.trace_id)}>
      <span class="name">{oneLine(trace.name, 120) || "(no name)"}</span>
      <span class="words">{[trace.service, ...(trace.models ?? [])].filter(Boolean).map((one) => oneLine(one ?? "", 60)).join(" · ")}</span>
      <span class="cell">{trace.error_count ? <Status name="failed" title={count(trace.error_count, "error")} /> : null}</span>
      <span class="cell number">{count(trace.span_count, "span")}</span>
      <span class="cell number">{tokens > 0 ? count(tokens, "token") : ""}</span>
      <span class="cell number">{duration(took)}</span>
      <time class="cell number" dateTime={trace.start_time}>
        {time(trace.start_time)}
      </time>
    </a>
  );
}
