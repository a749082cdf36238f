-- How far this build has followed the log. One row, written in the transaction of the records it counts.
CREATE TABLE now.progress (
    position BIGINT NOT NULL
);
