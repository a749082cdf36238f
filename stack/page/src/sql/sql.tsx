import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { change, query } from "../address.ts";
import { Empty, Head, Problem } from "../frame.tsx";
import { count, duration, number, visible } from "../format.ts";
import { HttpError, getJson, postJson, request } from "../http.ts";
import { useLoaded } from "../loaded.ts";
import { Rows } from "../rows.tsx";
import type { SqlResult, SqlSchema } from "../wire.ts";

const asked = query("query");
const EXAMPLE = "SELECT status, count(*) AS turns, sum(output_tokens) AS output_tokens\nFROM turns\nGROUP BY status\nORDER BY turns DESC";

interface Answer {
  result?: SqlResult;
  error?: HttpError;
  tookMs: number;
}

export function Sql() {
  const [text, setText] = useState(asked.value || EXAMPLE);
  const [answer, setAnswer] = useState<Answer>();
  const running = useRef<AbortController | undefined>(undefined);
  const [isRunning, setRunning] = useState(false);
  const schema = useLoaded("schema", (signal) => getJson<SqlSchema>("/v1alpha/sql/schema", signal));

  const run = async (sql: string) => {
    running.current?.abort();
    const control = new AbortController();
    running.current = control;
    setRunning(true);
    const began = performance.now();
    try {
      const result = await postJson<SqlResult>("/v1alpha/sql", { query: sql }, control.signal);
      setAnswer({ result, tookMs: performance.now() - began });
    } catch (failed) {
      if (failed instanceof HttpError) setAnswer({ error: failed, tookMs: performance.now() - began });
    } finally {
      if (running.current === control) {
        running.current = undefined;
        setRunning(false);
      }
    }
  };
  useEffect(() => {
    if (asked.value !== "") {
      setText(asked.value);
      void run(asked.value);
    }
    return () => running.current?.abort();
  }, [asked.value]);
  const submit = () => {
    if (text === asked.value) void run(text);
    else change({ query: text }, true);
  };

  return (
    <div class="place">
      <Head title="SQL">
        <span class="quiet">{schema.value?.dialect}</span>
      </Head>
      <div class="split">
        <div class="place">
          <form
            class="query"
            onSubmit={(event) => {
              event.preventDefault();
              submit();
            }}
          >
            <textarea
              aria-label="Query"
              spellcheck={false}
              rows={Math.min(14, Math.max(4, text.split("\n").length + 1))}
              value={text}
              onInput={(event) => setText(event.currentTarget.value)}
              onKeyDown={(event) => {
                if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
                  event.preventDefault();
                  submit();
                }
              }}
            />
            <div class="bar">
              <button type="submit" title="Ctrl-Enter" disabled={isRunning}>
                Run
              </button>
              {isRunning && (
                <button type="button" onClick={() => running.current?.abort()}>
                  Cancel
                </button>
              )}
              <Download text={text} />
              <span class="quiet" role="status">
                {isRunning ? "running" : answer && said(answer)}
              </span>
            </div>
          </form>
          {answer?.error && <Problem error={answer.error} />}
          {answer?.result && <Grid result={answer.result} />}
        </div>
        <aside class="detail views" aria-label="Views">
          {schema.error && <Problem error={schema.error} again={schema.again} />}
          {schema.value?.views.map((view) => (
            <details>
              <summary>
                <code>{view.name}</code>
              </summary>
              <p class="quiet">{view.description}</p>
              <ul>
                {view.columns.map((column) => (
                  <li title={column.description}>
                    <code>{column.name}</code> <span class="quiet">{column.type}{column.unit ? `, ${column.unit}` : ""}</span>
                  </li>
                ))}
              </ul>
            </details>
          ))}
        </aside>
      </div>
    </div>
  );
}

function said({ result, tookMs }: Answer): string {
  if (!result) return "";
  const cut = result.truncated ? `; cut off by the setting ${result.truncated}` : "";
  return `${count(result.rows.length, "row")} in ${duration(tookMs)}${cut}`;
}

function Download({ text }: { text: string }) {
  const [error, setError] = useState("");
  const save = async (format: string) => {
    setError("");
    try {
      const answer = await request("/v1alpha/sql", {
        method: "POST",
        body: JSON.stringify({ query: text, format }),
        headers: { "content-type": "application/json" },
      });
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await answer.blob());
      link.download = `query.${format}`;
      link.click();
      URL.revokeObjectURL(link.href);
    } catch (failed) {
      setError(failed instanceof HttpError ? failed.message : String(failed));
    }
  };
  return (
    <>
      <button type="button" class="quiet" onClick={() => void save("csv")}>
        CSV
      </button>
      {error && <span class="bad">{error}</span>}
    </>
  );
}

const MOST_SIGNS = 60;
const SAMPLE = 200;

function Grid({ result }: { result: SqlResult }) {
  const columns = result.columns;
  const widths = useMemo(
    () =>
      columns.map((column, place) => {
        const longest = result.rows.slice(0, SAMPLE).reduce((most, row) => Math.max(most, shown((row as unknown[])[place]).length), column.name.length);
        return `${Math.min(MOST_SIGNS, Math.max(4, longest)) + 2}ch`;
      }),
    [result],
  );
  const template = { gridTemplateColumns: widths.join(" ") };
  if (columns.length === 0) return <Empty>The result has no columns.</Empty>;
  return (
    <div class="grid" role="region" aria-label={`Result, ${number(result.rows.length)} rows`}>
      <div class="grid-row grid-head" style={template}>
        {columns.map((column) => (
          <span title={column.type}>{visible(column.name)}</span>
        ))}
      </div>
      <Rows
        count={result.rows.length}
        height={24}
        label="Rows of the result"
        row={(index) => (
          <div class="grid-row" style={template}>
            {(result.rows[index] as unknown[]).map((value) => (
              <span class={typeof value === "number" ? "number" : value === null ? "quiet" : ""} title={shown(value).slice(0, 2000)}>
                {shown(value).slice(0, 500)}
              </span>
            ))}
          </div>
        )}
      />
    </div>
  );
}

function shown(value: unknown): string {
  if (value === null) return "NULL";
  return visible(typeof value === "string" ? value : JSON.stringify(value)).replace(/\n/g, "⏎");
}
