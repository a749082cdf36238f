import { useMemo, useRef, useState } from "preact/hooks";
import { change, href, query } from "../address.ts";
import { Head, Problem } from "../frame.tsx";
import { count, duration, number, oneLine, time } from "../format.ts";
import { getJson } from "../http.ts";
import { useKeys } from "../keys.ts";
import { useLoaded } from "../loaded.ts";
import { Rows } from "../rows.tsx";
import { Fields } from "../text.tsx";
import type { Span, Waterfall } from "../wire.ts";
import { Overview } from "./overview.tsx";
import { type Piece, type Tree, endOf, matching, pieces, placeOf, rows, tree } from "./waterfall.ts";

const shownSpan = query("span");
const words = query("find");
const HEIGHT = 24;
const DEEPEST = 40;

export interface Window {
  from: number;
  to: number;
}

export function TraceView({ id }: { id: string }) {
  const loaded = useLoaded(id, (signal) => getJson<Waterfall>(`/v1alpha/telemetry/traces/${encodeURIComponent(id)}/waterfall`, signal));
  if (!loaded.value)
    return (
      <>
        <Head title="Trace" />
        {loaded.error && <Problem error={loaded.error} again={loaded.again} />}
      </>
    );
  return <Opened trace={loaded.value} again={loaded.again} />;
}

function Opened({ trace, again }: { trace: Waterfall; again: () => void }) {
  const whole = useMemo(() => tree(trace), [trace]);
  const scale = useMemo(() => pieces(trace, whole), [trace]);
  const [folded, setFolded] = useState<ReadonlySet<number>>(new Set());
  const [zoom, setZoom] = useState<Window>({ from: 0, to: 1 });
  const [isHelpOpen, setHelp] = useState(false);
  const search = useRef<HTMLInputElement>(null);
  const found = useMemo(() => (words.value === "" ? undefined : matching(trace, whole, words.value)), [trace, words.value]);
  const shown = useMemo(() => rows(whole, folded, found?.kept), [whole, folded, found]);
  const places = useMemo(() => new Map(trace.span_ids.map((one, span) => [one, span])), [trace]);
  const span = places.get(shownSpan.value) ?? -1;
  const row = shown.indexOf(span);
  const errors = useMemo(() => trace.is_error.flatMap((isError, one) => (isError ? [one] : [])), [trace]);
  const end = useMemo(() => trace.span_ids.reduce((most, _, one) => Math.max(most, endOf(trace, one)), 0), [trace]);
  const top = whole.roots[0] ?? 0;

  const select = (to: number | undefined) => {
    if (to !== undefined) change({ span: trace.span_ids[to] ?? "" });
  };
  const fold = (one: number, isFolded: boolean) => {
    const changed = new Set(folded);
    isFolded ? changed.add(one) : changed.delete(one);
    setFolded(changed);
  };
  const nextError = () => {
    const next = errors.find((one) => one > span) ?? errors[0];
    if (next === undefined) return;
    // It must be in sight: nothing above it stays folded, and no filter hides it.
    const open = new Set(folded);
    for (let above = next; above >= 0; above = (whole.depth[above] ?? 0) > 0 ? (trace.parents[above] ?? -1) : -1) open.delete(above);
    setFolded(open);
    change({ span: trace.span_ids[next] ?? "", ...(found && !found.kept.has(next) ? { find: "" } : {}) });
  };
  const zoomTo = (one: number) => {
    const from = placeOf(scale, trace.start_us[one] ?? 0);
    const to = placeOf(scale, endOf(trace, one));
    const margin = Math.max(0.002, (to - from) * 0.1);
    setZoom({ from: Math.max(0, from - margin), to: Math.min(1, to + margin) });
  };
  useKeys((event) => {
    const below = whole.children[span]?.[0];
    const parent = (whole.depth[span] ?? 0) > 0 ? trace.parents[span] : undefined;
    const down = () => select(shown[Math.min(shown.length - 1, row + 1)]);
    const up = () => select(shown[Math.max(0, row - 1)]);
    const keys: Record<string, () => void> = {
      ArrowDown: down,
      j: down,
      ArrowUp: up,
      k: up,
      ArrowLeft: () => (below === undefined || folded.has(span) ? select(parent) : fold(span, true)),
      ArrowRight: () => (folded.has(span) ? fold(span, false) : select(below)),
      e: nextError,
      z: () => (span >= 0 ? zoomTo(span) : setZoom({ from: 0, to: 1 })),
      Escape: () => setZoom({ from: 0, to: 1 }),
      "/": () => search.current?.focus(),
      "?": () => setHelp((before) => !before),
    };
    keys[event.key]?.();
    return event.key in keys;
  });

  const hidden = trace.span_ids.length - shown.length;
  return (
    <div class="place trace">
      <Head title={oneLine(trace.texts[trace.names[top] ?? 0] ?? "", 120) || "Trace"}>
        <span class="quiet">
          {duration(end / 1000)} · {count(trace.span_ids.length, "span")} · <time dateTime={trace.start_time}>{time(trace.start_time)}</time>
        </span>
        {errors.length > 0 && (
          <button type="button" class="chip bad" title="e" onClick={nextError}>
            {count(errors.length, "error")}
          </button>
        )}
        {(zoom.from > 0 || zoom.to < 1) && (
          <button type="button" class="chip" title="Escape" onClick={() => setZoom({ from: 0, to: 1 })}>
            zoomed ×
          </button>
        )}
        <button type="button" class="quiet" onClick={again}>
          Refresh
        </button>
        <button type="button" class="quiet" aria-expanded={isHelpOpen} onClick={() => setHelp(!isHelpOpen)}>
          Keys
        </button>
        <input
          ref={search}
          type="search"
          aria-label="Find spans"
          placeholder="Find spans  ( / )"
          value={words.value}
          onInput={(event) => change({ find: event.currentTarget.value })}
          onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
        />
        {(hidden > 0 || found) && (
          <span class="quiet" role="status">
            {found && `${count(found.matches.length, "match", "matches")}; `}
            {number(shown.length)} of {number(trace.span_ids.length)} rows shown
          </span>
        )}
        {(trace.truncated ?? 0) > 0 && <span class="bad">{count(trace.truncated ?? 0, "later span")} left out</span>}
      </Head>
      {isHelpOpen && (
        <p class="empty">
          ↑ ↓ or j k: move · ← →: fold, unfold · e: next error · z: zoom to the span · Escape: whole trace · /: find · ?: this
        </p>
      )}
      <Overview trace={trace} tree={whole} scale={scale} zoom={zoom} set={setZoom} />
      <div class="split">
        <Rows
          count={shown.length}
          height={HEIGHT}
          label="Spans"
          at={row}
          row={(index) => (
            <SpanRow
              trace={trace}
              tree={whole}
              span={shown[index] as number}
              scale={scale}
              zoom={zoom}
              isShown={shown[index] === span}
              isFolded={folded.has(shown[index] as number)}
              select={select}
              fold={fold}
            />
          )}
        />
        {span >= 0 && <Detail trace={trace} span={span} />}
      </div>
    </div>
  );
}

interface RowProps {
  trace: Waterfall;
  tree: Tree;
  span: number;
  scale: Piece[];
  zoom: Window;
  isShown: boolean;
  isFolded: boolean;
  select: (span: number) => void;
  fold: (span: number, isFolded: boolean) => void;
}

function SpanRow({ trace, tree: whole, span, scale, zoom, isShown, isFolded, select, fold }: RowProps) {
  const width = zoom.to - zoom.from;
  const place = (at: number) => (placeOf(scale, at) - zoom.from) / width;
  const left = place(trace.start_us[span] ?? 0);
  const right = place(endOf(trace, span));
  const children = whole.children[span] ?? [];
  const tokens = trace.tokens[span] ?? -1;
  const label = [tookOf(trace, span), tokens > 0 ? `${number(tokens)} tok` : ""].filter(Boolean).join(" · ");
  const name = trace.texts[trace.names[span] ?? 0] ?? "";
  const shownLeft = Math.max(0, Math.min(1, left));
  const shownRight = Math.max(shownLeft, Math.min(1, right));
  return (
    <div class={`row span-row ${isShown ? "shown" : ""}`} onClick={() => select(span)}>
      <span class="span-name" style={{ paddingLeft: `${Math.min(DEEPEST, whole.depth[span] ?? 0) * 12}px` }}>
        {children.length > 0 ? (
          <button
            type="button"
            class="fold"
            tabIndex={-1}
            aria-label={isFolded ? "Unfold" : "Fold"}
            onClick={(event) => {
              event.stopPropagation();
              fold(span, !isFolded);
            }}
          >
            {isFolded ? "▸" : "▾"}
          </button>
        ) : (
          <span class="fold" />
        )}
        <a href={href("traces", trace.trace_id, { span: trace.span_ids[span] ?? "", find: words.value })} class={trace.is_error[span] ? "bad" : ""} onClick={(event) => event.preventDefault()}>
          {oneLine(name, 120) || "(no name)"}
        </a>
        {isFolded && <span class="quiet"> +{number(below(whole, span))}</span>}
      </span>
      <span class="lane">
        {right >= 0 && left <= 1 && (
          <>
            <span
              class={`span-bar ${kindOf(trace, span)} ${trace.is_error[span] ? "error" : ""} ${whole.critical.has(span) ? "critical" : ""}`}
              style={{ left: `${shownLeft * 100}%`, width: `max(2px, ${(shownRight - shownLeft) * 100}%)` }}
            />
            <span class={`span-label ${labelAt(shownLeft, shownRight)}`} style={labelStyle(shownLeft, shownRight)}>
              {label}
            </span>
          </>
        )}
      </span>
    </div>
  );
}

/** The label stands where there is room for it: after the bar, before it, or in it. */
function labelAt(left: number, right: number): "after" | "before" | "inside" {
  return right < 0.8 ? "after" : left > 0.2 ? "before" : "inside";
}

function labelStyle(left: number, right: number): Record<string, string> {
  if (labelAt(left, right) === "after") return { left: `calc(${right * 100}% + 6px)` };
  const from = labelAt(left, right) === "before" ? left : right;
  return { right: `calc(${(1 - from) * 100}% + 6px)` };
}

function below({ children }: Tree, span: number): number {
  let found = 0;
  const open = [...(children[span] ?? [])];
  for (let one = open.pop(); one !== undefined; one = open.pop()) {
    found += 1;
    open.push(...(children[one] ?? []));
  }
  return found;
}

export function kindOf(trace: Waterfall, span: number): "agent" | "model" | "tool" | "other" {
  const operation = trace.texts[trace.operations[span] ?? 0] ?? "";
  if (operation === "invoke_agent" || operation === "create_agent") return "agent";
  if (operation === "execute_tool") return "tool";
  return operation === "" ? "other" : "model";
}

function tookOf(trace: Waterfall, span: number): string {
  const took = trace.duration_us[span] ?? -1;
  return took < 0 ? "not ended" : duration(took / 1000);
}

function Detail({ trace, span }: { trace: Waterfall; span: number }) {
  const id = trace.span_ids[span] ?? "";
  const loaded = useLoaded(id, (signal) => getJson<Span>(`/v1alpha/telemetry/traces/${trace.trace_id}/spans/${id}`, signal));
  const attributes = (loaded.value?.attributes ?? {}) as Record<string, unknown>;
  const session = attributes["gen_ai.conversation.id"];
  return (
    <aside class="detail" aria-label="Span">
      <h2>{oneLine(trace.texts[trace.names[span] ?? 0] ?? "", 200)}</h2>
      <p class="quiet">
        {tookOf(trace, span)} · starts at {duration((trace.start_us[span] ?? 0) / 1000)}
        {trace.services[span] ? ` · ${trace.texts[trace.services[span] ?? 0]}` : ""} · <code>{id}</code>
      </p>
      {typeof session === "string" && (
        <p>
          <a href={href("sessions", session)}>Open the session</a>
        </p>
      )}
      {loaded.error && <Problem error={loaded.error} again={loaded.again} />}
      <Fields of={attributes} />
    </aside>
  );
}
