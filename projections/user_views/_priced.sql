-- The rows of turns, those of inferences that were completed with their cost in US dollars: NULL without a price, or if a
-- number of tokens is not known.

SELECT
    e.*,
    (e.input_tokens - coalesce(least(e.cached_tokens, e.input_tokens), 0)) * p.input_usd
    + coalesce(least(e.cached_tokens, e.input_tokens), 0) * p.cached_usd
    + e.output_tokens * p.output_usd AS cost_usd
FROM views.turn_changes AS e
LEFT JOIN _model_prices AS p ON e.model = p.model;
