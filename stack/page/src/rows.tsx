// A list of which only the rows in sight are elements, so that 100,000 rows cost as much as 50.
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

interface Props {
  count: number;
  height: number;
  label: string;
  row: (index: number) => ComponentChildren;
  at?: number;
  onNearEnd?: () => void;
}

const SPARE = 8;

export function Rows({ count, height, label, row, at, onNearEnd }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 800 });
  const measure = () => {
    const element = box.current;
    if (!element) return;
    setView((before) =>
      before.top === element.scrollTop && before.height === element.clientHeight
        ? before
        : { top: element.scrollTop, height: element.clientHeight },
    );
  };
  useLayoutEffect(() => {
    measure();
    const watched = new ResizeObserver(measure);
    if (box.current) watched.observe(box.current);
    return () => watched.disconnect();
  }, []);
  useLayoutEffect(() => {
    const element = box.current;
    if (at === undefined || at < 0 || !element) return;
    const top = at * height;
    if (top < element.scrollTop) element.scrollTop = top - height * 2;
    else if (top + height > element.scrollTop + element.clientHeight) element.scrollTop = top - element.clientHeight + height * 3;
    measure();
  }, [at, count]);
  const first = Math.max(0, Math.floor(view.top / height) - SPARE);
  const last = Math.min(count, Math.ceil((view.top + view.height) / height) + SPARE);
  const isNearEnd = last >= count - SPARE * 2;
  useLayoutEffect(() => {
    if (isNearEnd && count > 0) onNearEnd?.();
  }, [isNearEnd, count]);
  const shown = [];
  for (let index = first; index < last; index += 1) shown.push(
      <div role="listitem" key={index} style={{ height: `${height}px` }}>
        {row(index)}
      </div>,
    );
  return (
    <div class="rows" ref={box} onScroll={measure} role="list" aria-label={label} tabIndex={0}>
      <div class="rows-all" style={{ height: `${count * height}px` }}>
        <div style={{ transform: `translateY(${first * height}px)` }}>{shown}</div>
      </div>
    </div>
  );
}
