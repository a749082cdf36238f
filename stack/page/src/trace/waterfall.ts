// The spans of a trace as a tree that can be folded and filtered, and the scale on which they are drawn.
import type { Waterfall } from "../wire.ts";

export interface Tree {
  roots: number[];
  children: number[][];
  depth: number[];
  /** The chain of spans that end last, from the first root: what to make faster first. */
  critical: Set<number>;
}

/** Links may form cycles: each span is in the tree once, and a cycle begins at its earliest span. */
export function tree(trace: Waterfall): Tree {
  const size = trace.span_ids.length;
  const children: number[][] = Array.from({ length: size }, () => []);
  for (let span = 0; span < size; span += 1) {
    const parent = trace.parents[span] ?? -1;
    if (parent >= 0 && parent !== span) children[parent]?.push(span);
  }
  const depth = new Array<number>(size).fill(-1);
  const roots: number[] = [];
  const place = (root: number) => {
    roots.push(root);
    depth[root] = 0;
    const open = [root];
    for (let span = open.pop(); span !== undefined; span = open.pop()) {
      const kept = (children[span] ?? []).filter((child) => depth[child] === -1);
      children[span] = kept;
      for (const child of kept) {
        depth[child] = (depth[span] ?? 0) + 1;
        open.push(child);
      }
    }
  };
  for (let span = 0; span < size; span += 1) {
    const parent = trace.parents[span] ?? -1;
    if (parent < 0 || parent === span) place(span);
  }
  for (let span = 0; span < size; span += 1) if (depth[span] === -1) place(span);
  return { roots, children, depth, critical: critical(trace, roots, children) };
}

function critical(trace: Waterfall, roots: number[], children: number[][]): Set<number> {
  const path = new Set<number>();
  for (let span = roots[0]; span !== undefined; ) {
    path.add(span);
    span = (children[span] ?? []).reduce<number | undefined>(
      (last, child) => (last === undefined || endOf(trace, child) > endOf(trace, last) ? child : last),
      undefined,
    );
  }
  return path;
}

export function endOf(trace: Waterfall, span: number): number {
  return (trace.start_us[span] ?? 0) + Math.max(0, trace.duration_us[span] ?? 0);
}

/** The spans in the order in which they are drawn, without those below a folded one. With `kept`, only these. */
export function rows({ roots, children }: Tree, folded: ReadonlySet<number>, kept?: ReadonlySet<number>): number[] {
  const found: number[] = [];
  const open = [...roots].reverse();
  for (let span = open.pop(); span !== undefined; span = open.pop()) {
    if (kept && !kept.has(span)) continue;
    found.push(span);
    if (folded.has(span)) continue;
    const below = children[span] ?? [];
    for (let place = below.length - 1; place >= 0; place -= 1) open.push(below[place] as number);
  }
  return found;
}

/** The spans that match, with all that they are in: a span is never shown without what it belongs to. */
export function matching(trace: Waterfall, { depth }: Tree, words: string): { matches: number[]; kept: Set<number> } {
  const wanted = words.toLowerCase();
  const texts = trace.texts.map((text) => text.toLowerCase().includes(wanted));
  const matches: number[] = [];
  const kept = new Set<number>();
  for (let span = 0; span < trace.span_ids.length; span += 1) {
    const isMatch =
      texts[trace.names[span] ?? 0] || texts[trace.subjects[span] ?? 0] || texts[trace.services[span] ?? 0] || trace.span_ids[span] === wanted;
    if (!isMatch) continue;
    matches.push(span);
    for (let above = span; above >= 0 && !kept.has(above); ) {
      kept.add(above);
      const parent = trace.parents[above] ?? -1;
      above = parent >= 0 && (depth[parent] ?? 0) < (depth[above] ?? 0) ? parent : -1;
    }
  }
  return { matches, kept };
}

/** Pieces of time, each with a part of the width; in a folded one nothing happened for long. */
export interface Piece {
  from: number;
  to: number;
  left: number;
  right: number;
  isFolded: boolean;
}

const LONG_GAP = 0.05;
const FOLDED_WIDTH = 0.02;

/** Gives stretches in which no innermost span runs little width, so that a pause does not squash the rest. */
export function pieces(trace: Waterfall, { children }: Tree): Piece[] {
  const total = trace.span_ids.reduce((most, _, span) => Math.max(most, endOf(trace, span)), 0);
  if (total === 0) return [{ from: 0, to: 1, left: 0, right: 1, isFolded: false }];
  const active: Array<[number, number]> = [];
  trace.span_ids.forEach((_, span) => {
    const start = trace.start_us[span] ?? 0;
    if ((children[span] ?? []).length === 0) active.push([start, endOf(trace, span)]);
    // The beginning and the end of the others are seen too.
    else active.push([start, start], [endOf(trace, span), endOf(trace, span)]);
  });
  active.sort((one, other) => one[0] - other[0]);
  const found: Array<{ from: number; to: number; isFolded: boolean }> = [];
  let until = 0;
  for (const [start, end] of [...active, [total, total] as [number, number]]) {
    if (start - until > total * LONG_GAP) {
      const margin = (start - until) * 0.1;
      const from = found.at(-1)?.to ?? 0;
      if (until + margin > from) found.push({ from, to: until + margin, isFolded: false });
      found.push({ from: until + margin, to: start - margin, isFolded: true });
    }
    until = Math.max(until, end);
  }
  const last = found.at(-1)?.to ?? 0;
  if (last < total) found.push({ from: last, to: total, isFolded: false });
  const folded = found.filter((one) => one.isFolded);
  const lost = folded.reduce((sum, one) => sum + one.to - one.from, 0);
  const width = Math.max(0.1, 1 - folded.length * FOLDED_WIDTH) / Math.max(1, total - lost);
  let left = 0;
  return found.map((one) => {
    const right = Math.min(1, left + (one.isFolded ? FOLDED_WIDTH : (one.to - one.from) * width));
    const piece = { ...one, left, right };
    left = right;
    return piece;
  });
}

/** Where a time is, from 0 to 1. */
export function placeOf(scale: readonly Piece[], at: number): number {
  for (const piece of scale) if (at <= piece.to) return piece.left + ((piece.right - piece.left) * Math.max(0, at - piece.from)) / Math.max(1, piece.to - piece.from);
  return 1;
}

/** The time at a place; the inverse of `placeOf`. */
export function timeAt(scale: readonly Piece[], place: number): number {
  for (const piece of scale)
    if (place <= piece.right) return piece.from + ((piece.to - piece.from) * Math.max(0, place - piece.left)) / Math.max(1e-9, piece.right - piece.left);
  return scale.at(-1)?.to ?? 0;
}
