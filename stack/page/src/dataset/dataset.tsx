import { useMemo, useState } from "preact/hooks";
import { change, query, segments } from "../address.ts";
import { Empty, Head, Problem } from "../frame.tsx";
import { count, number, oneLine, time } from "../format.ts";
import { HttpError, getJson, withQuery } from "../http.ts";
import { useLoaded } from "../loaded.ts";
import { Rows } from "../rows.tsx";
import { Fields } from "../text.tsx";
import type { Dataset, DatasetDiff, PaginatedResponse } from "../wire.ts";
import { Pages } from "./pages.ts";

interface Version {
  version: number;
  change: string;
  created_at: string;
  rows_added: number;
  row_count: number;
  actor?: string;
}

type Data = Record<string, unknown>;

const PAGE = 200;
const from = query("from");
const to = query("to");
const shown = query("at");

export function DatasetView({ id }: { id: string }) {
  const path = `/v1beta/datasets/${segments(id)}`;
  const dataset = useLoaded(id, (signal) => getJson<Dataset>(path, signal));
  const versions = useLoaded(id, async (signal) => (await getJson<PaginatedResponse>(`${path}/versions`, signal)).data as unknown as Version[]);
  const error = dataset.error ?? versions.error;
  const all = versions.value ?? [];
  const newest = all.at(-1);
  const version = all.find((one) => String(one.version) === to.value) ?? newest;
  const isDiff = from.value !== "" && version !== undefined && Number(from.value) < version.version;
  return (
    <div class="place">
      <Head title={oneLine(id, 120)}>
        <span class="quiet">{dataset.value?.purpose}</span>
        {version && <span class="quiet">{count(version.row_count, "row")}</span>}
        {all.length > 0 && (
          <>
            <Versions label="Version" all={all} value={String(version?.version ?? "")} set={(value) => change({ to: value === String(newest?.version) ? "" : value })} />
            <Versions label="Compared with" all={all.filter((one) => one.version < (version?.version ?? 0))} none="not compared" value={isDiff ? from.value : ""} set={(value) => change({ from: value })} />
          </>
        )}
      </Head>
      {error && <Problem error={error} again={dataset.again} />}
      {version && (isDiff ? <Difference id={id} from={from.value} to={version.version} /> : <Content id={id} version={version} key={version.version} />)}
    </div>
  );
}

function Versions({ label, all, value, set, none }: { label: string; all: Version[]; value: string; set: (value: string) => void; none?: string }) {
  return (
    <select aria-label={label} value={value} onChange={(event) => set(event.currentTarget.value)}>
      {none && <option value="">{none}</option>}
      {all.map((one) => (
        <option value={String(one.version)}>
          version {one.version}: +{number(one.rows_added)}, {time(one.created_at)}
        </option>
      ))}
    </select>
  );
}

function Content({ id, version }: { id: string; version: Version }) {
  const [, redraw] = useState(0);
  const [error, setError] = useState<HttpError>();
  const pages = useMemo(
    () =>
      new Pages<Data>(
        PAGE,
        async (start, limit) => {
          const query = { start_index: start, limit, version: version.version };
          return (await getJson<PaginatedResponse>(withQuery(`/v1beta/datasetio/iterrows/${segments(id)}`, query))).data as Data[];
        },
        (problem) => {
          setError(problem instanceof HttpError ? problem : undefined);
          redraw((one) => one + 1);
        },
      ),
    [id, version.version],
  );
  const index = shown.value === "" ? -1 : Number(shown.value) - 1;
  const row = index >= 0 && index < version.row_count ? pages.at(index) : undefined;
  if (version.row_count === 0) return <Empty>This version has no rows.</Empty>;
  return (
    <>
      {error && <Problem error={error} again={() => redraw((one) => one + 1)} />}
      <div class="split">
        <Rows
          count={version.row_count}
          height={26}
          label="Rows"
          at={index}
          row={(place) => <Line place={place} row={pages.at(place)} isShown={place === index} />}
        />
        {row && (
          <aside class="detail" aria-label="Row">
            <h2>Row {number(index + 1)}</h2>
            <Fields of={row} />
          </aside>
        )}
      </div>
    </>
  );
}

function Line({ place, row, isShown }: { place: number; row: Data | undefined; isShown: boolean }) {
  return (
    <button type="button" class={`row event-row ${isShown ? "shown" : ""}`} onClick={() => change({ at: String(place + 1) })}>
      <span class="cell number">{number(place + 1)}</span>
      <span class="words">{row === undefined ? "…" : oneLine(JSON.stringify(row), 300)}</span>
    </button>
  );
}

/** Versions only add rows: the difference is what the later one added. */
function Difference({ id, from: first, to: last }: { id: string; from: string; to: number }) {
  const path = withQuery(`/v1beta/datasets/${segments(id)}/versions/diff`, { from: first, to: last, limit: 1000 });
  const diff = useLoaded(path, (signal) => getJson<DatasetDiff>(path, signal));
  const found = diff.value;
  return (
    <>
      {diff.error && <Problem error={diff.error} again={diff.again} />}
      {found && (
        <p class="empty">
          {count(found.rows_added, "row")} added after row {number(found.first_row)}.{found.has_more ? ` The first ${number(found.data.length)} are shown.` : ""}
        </p>
      )}
      {found && (
        <Rows count={found.data.length} height={26} label="Rows that were added" row={(place) => <Line place={found.first_row + place} row={found.data[place] as Data} isShown={false} />} />
      )}
    </>
  );
}
