-- The price of each model that was asked: that of the first pattern that matches. Models without one are absent.

SELECT
    m.model,
    arg_min(p.input_usd, p.place) AS input_usd,
    arg_min(p.output_usd, p.place) AS output_usd,
    arg_min(p.cached_usd, p.place) AS cached_usd
FROM (SELECT DISTINCT model FROM views.turn_changes WHERE change = 'step_completed') AS m
INNER JOIN _prices AS p ON m.model GLOB p.pattern
GROUP BY m.model;
