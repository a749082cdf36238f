-- What `runs` says of a file that was filled.
SELECT
    min(number),
    max(number),
    min(start_ns),
    max(start_ns),
    count(*)
FROM sealed.spans;
