import { href } from "../address.ts";
import { Empty, Head, Problem } from "../frame.tsx";
import { count, oneLine } from "../format.ts";
import { getJson } from "../http.ts";
import { useLoaded } from "../loaded.ts";
import { Rows } from "../rows.tsx";
import type { Dataset, ListDatasetsResponse } from "../wire.ts";

export function Datasets() {
  const datasets = useLoaded("datasets", (signal) => getJson<ListDatasetsResponse>("/v1beta/datasets", signal));
  const found = datasets.value?.data ?? [];
  return (
    <div class="place">
      <Head title="Datasets">
        <span class="quiet">{datasets.value && count(found.length, "dataset")}</span>
      </Head>
      {datasets.error && <Problem error={datasets.error} again={datasets.again} />}
      {datasets.value && found.length === 0 && <Empty>No datasets yet. Register one: replaystack datasets import FILE, or POST /v1beta/datasets.</Empty>}
      <Rows count={found.length} height={30} label="Datasets" row={(index) => <Row dataset={found[index] as Dataset} />} />
    </div>
  );
}

function Row({ dataset }: { dataset: Dataset }) {
  const from = dataset.source.type === "uri" ? dataset.source.uri : "rows";
  return (
    <a class="row" style={{ height: "30px" }} href={href("datasets", dataset.identifier)}>
      <span class="name">{oneLine(dataset.identifier, 120)}</span>
      <span class="words">{oneLine(from, 200)}</span>
      <span class="cell">{dataset.purpose}</span>
    </a>
  );
}
