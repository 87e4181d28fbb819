-- Each unique key of each record, so that two records cannot share one.
CREATE TABLE uniques (
    kind TEXT NOT NULL,
    field TEXT NOT NULL,
    value TEXT NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (kind, field, value)
) WITHOUT ROWID;

CREATE INDEX uniques_of_record ON uniques (kind, key);

-- Which fields of a kind stand in `uniques`; a field that is declared later is filled in when the store opens.
CREATE TABLE unique_fields (
    kind TEXT NOT NULL,
    field TEXT NOT NULL,
    PRIMARY KEY (kind, field)
) WITHOUT ROWID;
