import { render } from "preact";
import { address, follow, href, open, place } from "./address.ts";
import { DatasetView } from "./dataset/dataset.tsx";
import { Datasets } from "./dataset/datasets.tsx";
import { BenchmarkView } from "./eval/benchmark.tsx";
import { Evals } from "./eval/evals.tsx";
import { Events } from "./event/events.tsx";
import { Empty, Frame, Head } from "./frame.tsx";
import { Health } from "./health/health.tsx";
import { SessionView } from "./session/session.tsx";
import { Sessions } from "./session/sessions.tsx";
import { Sql } from "./sql/sql.tsx";
import { TraceView } from "./trace/trace.tsx";
import { Traces } from "./trace/traces.tsx";

function Page() {
  return <Frame>{shown(place.value, address.value.id)}</Frame>;
}

function shown(name: string, id: string) {
  switch (name) {
    case "sessions":
      return id === "" ? <Sessions /> : <SessionView key={id} id={id} />;
    case "traces":
      return id === "" ? <Traces /> : <TraceView key={id} id={id} />;
    case "evals":
      return id === "" ? <Evals /> : <BenchmarkView key={id} id={id} />;
    case "datasets":
      return id === "" ? <Datasets /> : <DatasetView key={id} id={id} />;
    case "sql":
      return <Sql />;
    case "events":
      return <Events />;
    case "health":
      return <Health />;
    default:
      return (
        <>
          <Head title="Nothing here" />
          <Empty>
            There is no place with this address. <a href={href("sessions")}>All sessions</a>
          </Empty>
        </>
      );
  }
}

follow();
if (place.value === "") open(href("sessions"));
const page = document.getElementById("page");
if (page) render(<Page />, page);
