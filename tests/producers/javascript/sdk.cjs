// Sends a trace, metrics and a log record with OpenTelemetry's SDK for JavaScript, as OTLP/JSON over HTTP.
//
//     node sdk.cjs NAME none|gzip http://127.0.0.1:8321
//
// Prints as JSON what it sent, as the SDK had it.

const { randomBytes } = require('node:crypto');

const { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, createTraceState, trace } = require('@opentelemetry/api');
const { SeverityNumber } = require('@opentelemetry/api-logs');
const { OTLPLogExporter } = require('@opentelemetry/exporter-logs-otlp-http');
const { OTLPMetricExporter } = require('@opentelemetry/exporter-metrics-otlp-http');
const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-http');
const { resourceFromAttributes } = require('@opentelemetry/resources');
const { BatchLogRecordProcessor, LoggerProvider } = require('@opentelemetry/sdk-logs');
const { MeterProvider, PeriodicExportingMetricReader } = require('@opentelemetry/sdk-metrics');
const { BasicTracerProvider, BatchSpanProcessor } = require('@opentelemetry/sdk-trace-base');

const [name, compression, url] = process.argv.slice(2);

const OF_EVERY_TYPE = {
  text: 'words',
  empty: '',
  'unicode \u{1f680} key': '\u202e漢\u{1f680}',
  "a'; DROP TABLE spans; --": "'; DROP TABLE spans; --",
  long: 'x'.repeat(10000),
  integer: Number.MAX_SAFE_INTEGER,
  negative: Number.MIN_SAFE_INTEGER,
  zero: 0,
  float: 0.1,
  'least float': 5e-324,
  yes: true,
  no: false,
  texts: ['a', ''],
  integers: [1, -2],
  floats: [0.5, 1.5],
  booleans: [true, false],
  'no items': [],
};
const RESOURCE = resourceFromAttributes({
  'service.name': name, 'host.cpus': 4, 'host.load': 0.5, tags: ['a', 'b'], 'is.real': true,
});
const REMOTE = {
  traceId: randomBytes(16).toString('hex'),
  spanId: '1000000000000001',
  traceFlags: TraceFlags.SAMPLED,
  isRemote: true,
  traceState: createTraceState('vendor=1'),
};
const OTHER = {
  traceId: '8' + '0'.repeat(30) + '5', spanId: '4000000000000005', traceFlags: TraceFlags.NONE, isRemote: true,
  traceState: createTraceState('other=2'),
};
const KINDS = { INTERNAL: 'internal', SERVER: 'server', CLIENT: 'client', PRODUCER: 'producer', CONSUMER: 'consumer' };

const exporterOf = (Exporter, signal) => new Exporter({ url: `${url}/v1/${signal}`, compression });

// Nanoseconds are no number of JavaScript: a text, that a reader makes a number of.
const ns = ([seconds, nanoseconds]) => String(BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds));

class Ended {
  spans = [];
  onStart() {}
  onEnd(span) {
    const { traceId, spanId, traceState } = span.spanContext();
    this.spans.push({
      trace_id: traceId,
      span_id: spanId,
      parent_span_id: span.parentSpanContext?.spanId ?? null,
      trace_state: traceState?.serialize() ?? '',
      name: span.name,
      kind: KINDS[SpanKind[span.kind]],
      status: span.status.code === SpanStatusCode.ERROR ? 'error' : 'ok',
      message: span.status.message ?? '',
      start_ns: ns(span.startTime),
      end_ns: ns(span.endTime),
      attributes: span.attributes,
      events: span.events.map((event) => ({
        time_ns: ns(event.time), name: event.name, attributes: event.attributes ?? {},
      })),
      links: span.links.map((link) => ({
        trace_id: link.context.traceId,
        span_id: link.context.spanId,
        trace_state: link.context.traceState?.serialize() ?? '',
        attributes: link.attributes ?? {},
      })),
      resource: span.resource.attributes,
      scope: { name: span.instrumentationScope.name, version: span.instrumentationScope.version, attributes: {} },
    });
  }
  async shutdown() {}
  async forceFlush() {}
}

async function traces() {
  const ended = new Ended();
  const exporting = new BatchSpanProcessor(exporterOf(OTLPTraceExporter, 'traces'));
  const provider = new BasicTracerProvider({ resource: RESOURCE, spanProcessors: [ended, exporting] });
  const tracer = provider.getTracer('producer', '1.2.3');
  let context = trace.setSpanContext(ROOT_CONTEXT, REMOTE);
  const spans = [];
  for (const kind of Object.keys(KINDS)) {
    const links = [{ context: OTHER, attributes: OF_EVERY_TYPE }, { context: REMOTE }];
    const span = tracer.startSpan(`span ${kind}`, { kind: SpanKind[kind], links }, context);
    span.setAttributes(OF_EVERY_TYPE);
    span.addEvent('an event', OF_EVERY_TYPE);
    context = trace.setSpan(context, span);
    spans.push(span);
  }
  spans[1].setStatus({ code: SpanStatusCode.OK });
  spans[2].setStatus({ code: SpanStatusCode.ERROR, message: 'It went wrong.' });
  spans[2].recordException(new Error('that is why'));
  spans.reverse().forEach((span) => span.end());
  await provider.shutdown();
  return ended.spans;
}

async function metrics() {
  const exporter = exporterOf(OTLPMetricExporter, 'metrics');
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const provider = new MeterProvider({ resource: RESOURCE, readers: [reader] });
  const meter = provider.getMeter('producer', '1.2.3');
  const requests = meter.createCounter(`${name}.requests`, { unit: '{request}' });
  const durations = meter.createHistogram(`${name}.duration`, { unit: 's' });
  meter.createObservableGauge(`${name}.load`).addCallback((result) => result.observe(2.5, { core: 1 }));
  for (const [model, count] of [['a', 3], ['b', 4], ['a', 2]]) requests.add(count, { model, cached: false });
  for (const duration of [0.5, 1.0, 7000.0]) durations.record(duration, { model: 'a' });
  await provider.shutdown();
}

async function log(sent) {
  const exporting = new BatchLogRecordProcessor(exporterOf(OTLPLogExporter, 'logs'));
  const provider = new LoggerProvider({ resource: RESOURCE, processors: [exporting] });
  const now = Date.now();
  const context = { traceId: sent.trace_id, spanId: sent.span_id, traceFlags: TraceFlags.SAMPLED };
  const record = {
    severityNumber: SeverityNumber.WARN,
    severityText: 'WARN',
    body: { what: ['happened', 1, 2.5] },
    attributes: { ...OF_EVERY_TYPE, nested: { deeper: [1, { x: 'y' }] }, nothing: null },
  };
  provider.getLogger('producer', '1.2.3').emit({
    ...record,
    timestamp: now - 5,
    observedTimestamp: now,
    context: trace.setSpanContext(ROOT_CONTEXT, context),
  });
  await provider.shutdown();
  return {
    time_ns: `${now - 5}000000`,
    observed_ns: `${now}000000`,
    severity: record.severityNumber,
    severity_text: record.severityText,
    body: record.body,
    attributes: record.attributes,
    trace_id: sent.trace_id,
    span_id: sent.span_id,
  };
}

(async () => {
  const spans = await traces();
  await metrics();
  const version = require('@opentelemetry/sdk-trace-base/package.json').version;
  console.log(JSON.stringify({ version, spans, log: await log(spans[0]) }));
})();
