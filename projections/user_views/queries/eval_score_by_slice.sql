-- Mean scores of two jobs of a benchmark for each value of a field of the rows, and their difference with its 95 % interval, over
-- the rows that have the same input and a score in both, as `replaystack eval compare` has it for all rows.
--   $benchmark_id | VARCHAR | | | Benchmark of the jobs.
--   $job_a | VARCHAR | | | The first job.
--   $job_b | VARCHAR | | | The second job.
--   $slice | VARCHAR | $.category | | JSON path of the field in a row; rows that dataset_rows does not hold are in no slice (NULL).

WITH results AS (
    SELECT
        d.row ->> $slice AS slice,
        r.scoring_function,
        r.job_id,
        r.row_number,
        r.input_digest,
        r.score,
        r.is_failed
    FROM eval_results AS r
    LEFT JOIN dataset_rows AS d ON r.dataset_id = d.dataset_id AND r.row_number = d.row_number
    WHERE r.benchmark_id = $benchmark_id::VARCHAR
),

sums AS (
    SELECT
        a.slice,
        a.scoring_function,
        count(*) AS row_count,
        count(*) FILTER (WHERE a.is_failed) AS failed_a,
        count(*) FILTER (WHERE b.is_failed) AS failed_b,
        count(b.score - a.score) AS n,
        avg(a.score) FILTER (WHERE b.score IS NOT NULL) AS mean_a,
        avg(b.score) FILTER (WHERE a.score IS NOT NULL) AS mean_b,
        avg(b.score - a.score) AS difference,
        var_samp(b.score - a.score) AS variance,
        coalesce(bool_and(a.score IN (0, 1) AND b.score IN (0, 1)), FALSE) AS is_binary,
        count(*) FILTER (WHERE a.score = 1 AND b.score = 1) AS in_both,
        count(*) FILTER (WHERE a.score = 1 AND b.score = 0) AS first_only,
        count(*) FILTER (WHERE a.score = 0 AND b.score = 1) AS second_only,
        n - in_both - first_only - second_only AS neither,
        1.959963984540054 AS z
    FROM results AS a
    INNER JOIN results AS b
        ON
            a.scoring_function = b.scoring_function
            AND a.row_number = b.row_number
            AND a.input_digest = b.input_digest
    WHERE a.job_id = $job_a::VARCHAR AND b.job_id = $job_b::VARCHAR
    GROUP BY a.slice, a.scoring_function
),

-- Student's t for scores of any kind: quantiles at 0.975 with 1 to 30 degrees of freedom, and an expansion for more.
margins AS (
    SELECT
        *,
        sqrt(variance / n) * CASE
            WHEN n - 1 <= 30
                THEN [
                    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281, 2.2010, 2.1788, 2.1604,
                    2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860, 2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555,
                    2.0518, 2.0484, 2.0452, 2.0423
                ][n - 1]::DOUBLE
            ELSE
                z + (pow(z, 3) + z) / (4 * (n - 1))
                + (5 * pow(z, 5) + 16 * pow(z, 3) + 3 * z) / (96 * pow(n - 1, 2))
        END AS margin,
        -- Wilson's intervals of both shares of 1, as distances from them, and Newcombe's correlation (Statistics in Medicine
        -- 17, 1998, method 10).
        (in_both + first_only) / n AS share_a,
        (in_both + second_only) / n AS share_b,
        2 * (in_both + first_only) + z * z AS middle_a,
        2 * (in_both + second_only) + z * z AS middle_b,
        z * sqrt(z * z + 4 * (in_both + first_only) * (1 - share_a)) AS spread_a,
        z * sqrt(z * z + 4 * (in_both + second_only) * (1 - share_b)) AS spread_b,
        2 * (n + z * z) AS width,
        share_a - (middle_a - spread_a) / width AS down_a,
        (middle_a + spread_a) / width - share_a AS up_a,
        share_b - (middle_b - spread_b) / width AS down_b,
        (middle_b + spread_b) / width - share_b AS up_b,
        (in_both + second_only)::DOUBLE * (first_only + neither) * (in_both + first_only) * (second_only + neither) AS product,
        in_both::DOUBLE * neither - first_only::DOUBLE * second_only AS crossed,
        CASE
            WHEN product = 0 THEN 0
            WHEN crossed > 0 THEN greatest(0, crossed - n / 2) / sqrt(product)
            ELSE crossed / sqrt(product)
        END AS phi
    FROM sums
)

SELECT
    slice,
    scoring_function,
    row_count,
    failed_a,
    failed_b,
    n AS scored_count,
    mean_a,
    mean_b,
    difference,
    CASE
        WHEN n < 2 THEN NULL
        WHEN is_binary
            THEN greatest(
                -1, share_b - share_a - sqrt(greatest(0, down_b * down_b - 2 * phi * down_b * up_a + up_a * up_a))
            )
        ELSE difference - margin
    END AS difference_low,
    CASE
        WHEN n < 2 THEN NULL
        WHEN is_binary
            THEN least(1, share_b - share_a + sqrt(greatest(0, up_b * up_b - 2 * phi * up_b * down_a + down_a * down_a)))
        ELSE difference + margin
    END AS difference_high
FROM margins
ORDER BY scoring_function, slice;
