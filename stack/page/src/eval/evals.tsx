import { href } from "../address.ts";
import { Empty, Head, Problem } from "../frame.tsx";
import { count, oneLine } from "../format.ts";
import { getJson } from "../http.ts";
import { useLoaded } from "../loaded.ts";
import { Rows } from "../rows.tsx";
import type { Benchmark, ListBenchmarksResponse } from "../wire.ts";

export function Evals() {
  const benchmarks = useLoaded("benchmarks", (signal) => getJson<ListBenchmarksResponse>("/v1alpha/eval/benchmarks", signal));
  const found = benchmarks.value?.data ?? [];
  return (
    <div class="place">
      <Head title="Evaluations">
        <span class="quiet">{benchmarks.value && count(found.length, "benchmark")}</span>
      </Head>
      {benchmarks.error && <Problem error={benchmarks.error} again={benchmarks.again} />}
      {benchmarks.value && found.length === 0 && <Empty>No benchmarks yet. Register one: POST /v1alpha/eval/benchmarks.</Empty>}
      <Rows count={found.length} height={30} label="Benchmarks" row={(index) => <Row benchmark={found[index] as Benchmark} />} />
    </div>
  );
}

function Row({ benchmark }: { benchmark: Benchmark }) {
  return (
    <a class="row" style={{ height: "30px" }} href={href("evals", benchmark.identifier)}>
      <span class="name">{oneLine(benchmark.identifier, 120)}</span>
      <span class="words">{benchmark.scoring_functions.join(", ")}</span>
      <span class="cell">dataset {oneLine(benchmark.dataset_id, 60)}</span>
    </a>
  );
}
