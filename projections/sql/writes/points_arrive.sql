-- Puts points of gauges and sums into the store; their streams are there.
INSERT INTO now.metric_points BY NAME
SELECT
    s.stream_id,
    a.time_ns,
    a.start_ns,
    a.value,
    CASE WHEN a.is_whole = 1 THEN a.whole END AS whole,
    a.number
FROM arriving AS a
INNER JOIN now.metric_streams AS s ON a.identity = s.identity
ORDER BY a.number;
