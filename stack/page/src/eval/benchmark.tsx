import { useEffect, useState } from "preact/hooks";
import { change, query } from "../address.ts";
import { Empty, Head, Problem, Status } from "../frame.tsx";
import { between, count, duration, number, oneLine, time } from "../format.ts";
import { getJson, withQuery } from "../http.ts";
import { followChanges } from "../live.ts";
import { useLoaded } from "../loaded.ts";
import { Rows } from "../rows.tsx";
import { Fields } from "../text.tsx";
import type { ComparedFunction, ComparedRow, Comparison, EvaluateResponse, JobOutcome, PaginatedResponse } from "../wire.ts";
import { words } from "./words.ts";

const NEWEST = 50;
const MOST_ROWS = 1000;
const a = query("a");
const b = query("b");
const scored = query("function");
const shown = query("at");

const pathOf = (id: string) => `/v1alpha/eval/benchmarks/${encodeURIComponent(id)}`;

interface JobLine extends JobOutcome {
  results: Array<[name: string, text: string]>;
}

export function BenchmarkView({ id }: { id: string }) {
  const [changes, setChanges] = useState(0);
  const jobs = useLoaded(`${id} ${changes}`, (signal) => newest(id, signal));
  useEffect(() => followChanges({ name: "evaljob.*" }, 1000, () => setChanges((one) => one + 1)), [id]);
  const all = jobs.value?.jobs ?? [];
  const isCompared = a.value !== "" && b.value !== "" && a.value !== b.value;
  return (
    <div class="place">
      <Head title={oneLine(id, 120)}>
        <span class="quiet">
          {jobs.value && (jobs.value.earlier > 0 ? `the newest ${number(all.length)} of ${number(all.length + jobs.value.earlier)} jobs` : count(all.length, "job"))}
        </span>
        {all.length > 1 && (
          <>
            <Choice label="Job A" jobs={all} value={a.value} set={(job) => change({ a: job })} />
            <Choice label="Job B" jobs={all} value={b.value} set={(job) => change({ b: job })} />
          </>
        )}
      </Head>
      {jobs.error && <Problem error={jobs.error} again={jobs.again} />}
      {jobs.value && all.length === 0 && <Empty>No jobs yet. Run one: replaystack eval {oneLine(id, 60)} --model MODEL.</Empty>}
      {isCompared ? (
        <Compared id={id} />
      ) : (
        <Rows count={all.length} height={40} label="Jobs" row={(index) => <Row job={all[index] as JobLine} />} />
      )}
    </div>
  );
}

/** The newest jobs with their outcomes and aggregates. */
async function newest(id: string, signal: AbortSignal): Promise<{ jobs: JobLine[]; earlier: number }> {
  const page = await getJson<PaginatedResponse>(`${pathOf(id)}/jobs`, signal);
  const ids = page.data.map((one) => String(one.job_id)).reverse();
  const jobs = await Promise.all(
    ids.slice(0, NEWEST).map(async (job): Promise<JobLine> => {
      const path = `${pathOf(id)}/jobs/${encodeURIComponent(job)}`;
      const outcome = await getJson<JobOutcome>(`${path}/outcome`, signal);
      if (outcome.status !== "completed") return { ...outcome, results: [] };
      const result = await getJson<EvaluateResponse>(`${path}/result`, signal);
      return { ...outcome, results: Object.entries(result.scores).map(([name, score]) => [name, aggregates(score.aggregated_results)]) };
    }),
  );
  return { jobs, earlier: Math.max(0, ids.length - NEWEST) };
}

/** Numbers of nested aggregates in a few words. */
function aggregates(results: unknown): string {
  const found: string[] = [];
  const look = (value: unknown, name: string) => {
    if (typeof value === "number") found.push(`${name} ${Number.isInteger(value) ? number(value) : value.toFixed(3)}`);
    else if (value && typeof value === "object") for (const [inner, one] of Object.entries(value)) look(one, inner);
  };
  look(results, "");
  return found.slice(0, 4).join(" · ");
}

function Choice({ label, jobs, value, set }: { label: string; jobs: JobLine[]; value: string; set: (job: string) => void }) {
  return (
    <label class="quiet">
      {label}{" "}
      <select value={value} onChange={(event) => set(event.currentTarget.value)}>
        <option value="">–</option>
        {jobs.map((job) => (
          <option value={job.job_id}>
            {job.job_id}, {time(job.created_at)}
          </option>
        ))}
      </select>
    </label>
  );
}

function Row({ job }: { job: JobLine }) {
  const took = job.created_at && job.completed_at ? between(job.created_at, job.completed_at) : Number.NaN;
  return (
    <div class="row session-row" style={{ height: "40px" }}>
      <span class="name">job {job.job_id}</span>
      <span class="words">{job.error?.detail ?? job.results.map(([name, text]) => `${name}: ${text}`).join("   ")}</span>
      <span class="cell number">
        {number(job.num_done)} of {count(job.num_rows, "row")}
        {job.num_failed > 0 && <span class="bad">, {number(job.num_failed)} failed</span>}
      </span>
      <span class="cell number">{duration(took)}</span>
      <span class="cell">
        <Status name={job.status} />
      </span>
      <time class="cell number" dateTime={job.created_at}>
        {time(job.created_at)}
      </time>
    </div>
  );
}

function Compared({ id }: { id: string }) {
  const path = withQuery(`${pathOf(id)}/compare`, { a: a.value, b: b.value, limit: MOST_ROWS });
  const loaded = useLoaded(path, (signal) => getJson<Comparison>(path, signal));
  const found = loaded.value;
  const names = Object.keys(found?.scoring_functions ?? {});
  const name = names.includes(scored.value) ? scored.value : (names[0] ?? "");
  const compared = found?.scoring_functions[name];
  const index = shown.value === "" ? -1 : (compared?.rows.findIndex((one) => String(one.row) === shown.value) ?? -1);
  return (
    <>
      {loaded.error && <Problem error={loaded.error} again={loaded.again} />}
      {found && (
        <div class="verdict">
          {names.length > 1 && (
            <select aria-label="Scoring function" value={name} onChange={(event) => change({ function: event.currentTarget.value })}>
              {names.map((one) => (
                <option value={one}>{one}</option>
              ))}
            </select>
          )}
          {names.length === 1 && <strong>{name}</strong>}
          {compared && <Means compared={compared} />}
          {(found.only_a > 0 || found.only_b > 0 || found.other_input > 0) && (
            <span class="bad">
              not compared: {number(found.only_a)} only in A, {number(found.only_b)} only in B, {number(found.other_input)} with another input
            </span>
          )}
        </div>
      )}
      {found && names.length === 0 && <Empty>These jobs have no scoring function in common.</Empty>}
      {compared && (
        <div class="split">
          <div class="place">
            {compared.rows.length === 0 && <Empty>No row differs.</Empty>}
            <Rows count={compared.rows.length} height={30} label="Rows that differ" at={index} row={(place) => <ComparedLine row={compared.rows[place] as ComparedRow} isShown={place === index} />} />
            {compared.has_more && <p class="empty">Only the first {number(compared.rows.length)} rows that differ are shown.</p>}
          </div>
          {index >= 0 && <Answers row={compared.rows[index] as ComparedRow} />}
        </div>
      )}
    </>
  );
}

function Means({ compared }: { compared: ComparedFunction }) {
  const { mean_a: first, mean_b: second, difference, interval } = compared.scores;
  const three = (value: number | undefined) => (value === undefined ? "–" : value.toFixed(3));
  const ends = interval as { low?: number; high?: number } | undefined;
  return (
    <span>
      mean {three(first)} → {three(second)}
      {difference !== undefined && `, ${difference > 0 ? "+" : ""}${difference.toFixed(3)}`}
      {ends && ` [${three(ends.low)}, ${three(ends.high)}]`}
      {" · "}
      <span class="status completed">better {number(compared.better)}</span> <span class="status failed">worse {number(compared.worse)}</span>{" "}
      <span class="status awaiting_input">changed {number(compared.changed)}</span> <span class="status cancelled">same {number(compared.same)}</span>
    </span>
  );
}

const CHANGES = { better: "completed", worse: "failed", changed: "awaiting_input" } as const;

function ComparedLine({ row, isShown }: { row: ComparedRow; isShown: boolean }) {
  return (
    <button type="button" class={`row compared-row ${isShown ? "shown" : ""}`} onClick={() => change({ at: String(row.row) })}>
      <span class="cell number">{number(row.row + 1)}</span>
      <span class={`status ${CHANGES[row.change]}`}>{row.change}</span>
      <span class="words">{oneLine(row.answer_a, 150)}</span>
      <span class="words">{oneLine(row.answer_b, 150)}</span>
    </button>
  );
}

function Answers({ row }: { row: ComparedRow }) {
  const parts = words(row.answer_a, row.answer_b);
  return (
    <aside class="detail" aria-label="Answers">
      <h2>Row {number(row.row + 1)}</h2>
      <p class="quiet">A to B: what was removed and what was added</p>
      <p class="difference">
        {parts.map(({ kind, text }) => (kind === "same" ? <span>{text}</span> : kind === "removed" ? <del>{text}</del> : <ins>{text}</ins>))}
      </p>
      <Fields of={{ "Score of A": row.a, "Score of B": row.b }} />
    </aside>
  );
}

