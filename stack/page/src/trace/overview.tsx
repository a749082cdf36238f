import { useRef } from "preact/hooks";
import { Drawn, type Drawing } from "../drawing.tsx";
import { duration } from "../format.ts";
import type { Waterfall } from "../wire.ts";
import { type Window, kindOf } from "./trace.tsx";
import { type Piece, type Tree, endOf, placeOf, timeAt } from "./waterfall.ts";

const MARKS = 5;
const LEAST = 0.0005;
const LEVELS = 16;

interface Props {
  trace: Waterfall;
  tree: Tree;
  scale: Piece[];
  zoom: Window;
  set: (zoom: Window) => void;
}

/** All spans in little; dragging over it zooms. */
export function Overview({ trace, tree, scale, zoom, set }: Props) {
  const from = useRef<number | undefined>(undefined);
  const draw = ({ context, width, height, colour }: Drawing) => {
    const deepest = Math.min(LEVELS, tree.depth.reduce((most, one) => Math.max(most, one), 1));
    context.fillStyle = colour("--line");
    for (const piece of scale) if (piece.isFolded) context.fillRect(piece.left * width, 0, (piece.right - piece.left) * width, height);
    for (let span = 0; span < trace.span_ids.length; span += 1) {
      const left = placeOf(scale, trace.start_us[span] ?? 0) * width;
      const right = placeOf(scale, endOf(trace, span)) * width;
      context.fillStyle = colour(trace.is_error[span] ? "--bad" : COLOURS[kindOf(trace, span)]);
      context.fillRect(left, (Math.min(deepest, tree.depth[span] ?? 0) / (deepest + 1)) * height, Math.max(1, right - left), 1.5);
    }
  };

  const placeIn = (event: PointerEvent) => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
  };
  const marks = Array.from({ length: MARKS }, (_, one) => zoom.from + ((zoom.to - zoom.from) * one) / MARKS);
  return (
    <>
      <div
        class="overview"
        onPointerDown={(event) => {
          from.current = placeIn(event);
          event.currentTarget.setPointerCapture(event.pointerId);
        }}
        onPointerMove={(event) => {
          if (from.current === undefined) return;
          const to = placeIn(event);
          if (Math.abs(to - from.current) > LEAST * 4) set({ from: Math.min(from.current, to), to: Math.max(from.current, to) });
        }}
        onPointerUp={() => {
          from.current = undefined;
        }}
        onDblClick={() => set({ from: 0, to: 1 })}
      >
        <Drawn draw={draw} needs={[trace, tree, scale]} />
        <div class="zoomed" style={{ left: `${zoom.from * 100}%`, width: `${(zoom.to - zoom.from) * 100}%` }} />
      </div>
      <div class="times" aria-hidden="true">
        <span class="span-name" />
        <span class="lane">
          {marks.map((one, place) => (
            <span style={{ left: `${(place / MARKS) * 100}%` }}>{duration(timeAt(scale, one) / 1000)}</span>
          ))}
        </span>
      </div>
    </>
  );
}

const COLOURS = { agent: "--agent", model: "--accent", tool: "--tool", other: "--soft" } as const;
