-- One row per point of a metric that senders sent: of gauges and sums, and of histograms and summaries.
--   name | VARCHAR | | Name of the metric.
--   kind | VARCHAR | | gauge, sum, histogram, exponential_histogram or summary.
--   unit | VARCHAR | | Unit of the values, as its sender names it.
--   description | VARCHAR | | What its sender says about it.
--   temporality | VARCHAR | | delta or cumulative; NULL for gauges and summaries.
--   is_monotonic | BOOLEAN | | Whether a sum never falls.
--   labels | JSON | | Attributes of the point: an object.
--   measured_at | TIMESTAMP | UTC | Time of the point, in microseconds; time_ns has all digits.
--   time_ns | BIGINT | ns since 1970 | Time of the point.
--   start_ns | BIGINT | ns since 1970 | When counting began; NULL if the sender does not say.
--   value | DOUBLE | unit | Value of a gauge or a sum; NULL for others.
--   whole_value | BIGINT | unit | The same with all digits, if it was sent as a whole number.
--   count | UBIGINT | values | Values in a histogram or a summary.
--   sum | DOUBLE | unit | Their sum; NULL if it was not sent.
--   min | DOUBLE | unit | The least of them; NULL if it was not sent.
--   max | DOUBLE | unit | The greatest of them; NULL if it was not sent.
--   bounds | DOUBLE[] | unit | Upper limits of the buckets but the last one; of a summary its quantiles, from 0 to 1.
--   counts | UBIGINT[] | values | Values in each bucket of a histogram.
--   quantile_values | DOUBLE[] | unit | Values of a summary at its quantiles.
--   scale | INTEGER | | Of an exponential histogram: limits are powers of 2 ** 2 ** -scale.
--   zero_count | UBIGINT | values | Of an exponential histogram: values that count as zero.
--   positive_offset | INTEGER | | Of an exponential histogram: index of the first positive bucket.
--   positive_counts | UBIGINT[] | values | Of an exponential histogram: values in each positive bucket.
--   negative_offset | INTEGER | | Of an exponential histogram: index of the first negative bucket.
--   negative_counts | UBIGINT[] | values | Of an exponential histogram: values in each negative bucket.
--   service_name | VARCHAR | | Service that sent it.
--   resource | JSON | | Attributes of the sender: an object.
--   scope_name | VARCHAR | | Library that made it.

SELECT
    m.name AS name,
    m.kind AS kind,
    m.unit AS unit,
    m.description AS description,
    m.temporality AS temporality,
    m.is_monotonic AS is_monotonic,
    m.labels::JSON AS labels,
    make_timestamp(p.time_ns // 1000) AS measured_at,
    p.time_ns AS time_ns,
    nullif(p.start_ns, 0) AS start_ns,
    p.value AS value,
    p.whole AS whole_value,
    p.count AS count,
    p.total AS sum,
    p.minimum AS min,
    p.maximum AS max,
    p.bounds AS bounds,
    p.counts AS counts,
    p.quantiles AS quantile_values,
    p.scale AS scale,
    p.zero_count AS zero_count,
    p.positive_offset AS positive_offset,
    p.positive_counts AS positive_counts,
    p.negative_offset AS negative_offset,
    p.negative_counts AS negative_counts,
    json_extract_string(r.attributes, '/service.name') AS service_name,
    r.attributes::JSON AS resource,
    nullif(c.name, '') AS scope_name
FROM (
    SELECT * FROM telemetry.metric_points
    UNION ALL BY NAME
    SELECT * FROM telemetry.metric_histograms
) AS p
INNER JOIN telemetry.metric_streams AS m ON p.stream_id = m.stream_id
LEFT JOIN telemetry.telemetry_resources AS r ON m.resource_id = r.resource_id
LEFT JOIN telemetry.telemetry_scopes AS c ON m.scope_id = c.scope_id;
