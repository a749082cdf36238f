-- Puts points of histograms, exponential histograms and summaries into the store; their streams are there. `held` has a
-- bit for each value that may be missing: 1 total, 2 minimum, 4 maximum, 8 buckets, 16 quantiles, 32 exponential buckets.
INSERT INTO now.metric_histograms BY NAME
SELECT
    s.stream_id,
    a.time_ns,
    a.start_ns,
    a.count,
    CASE WHEN a.held & 1 > 0 THEN a.total END AS total,
    CASE WHEN a.held & 2 > 0 THEN a.minimum END AS minimum,
    CASE WHEN a.held & 4 > 0 THEN a.maximum END AS maximum,
    CASE WHEN a.held & 24 > 0 THEN a.bounds END AS bounds,
    CASE WHEN a.held & 8 > 0 THEN a.counts END AS counts,
    CASE WHEN a.held & 16 > 0 THEN a.quantiles END AS quantiles,
    CASE WHEN a.held & 32 > 0 THEN a.scale END AS scale,
    CASE WHEN a.held & 32 > 0 THEN a.zero_count END AS zero_count,
    CASE WHEN a.held & 32 > 0 THEN a.zero_threshold END AS zero_threshold,
    CASE WHEN a.held & 32 > 0 THEN a.positive_offset END AS positive_offset,
    CASE WHEN a.held & 32 > 0 THEN a.positive_counts END AS positive_counts,
    CASE WHEN a.held & 32 > 0 THEN a.negative_offset END AS negative_offset,
    CASE WHEN a.held & 32 > 0 THEN a.negative_counts END AS negative_counts,
    a.number
FROM arriving AS a
INNER JOIN now.metric_streams AS s ON a.identity = s.identity
ORDER BY a.number;
