-- The files that were uploaded; their bytes are in the object store, under the same id.
CREATE TABLE IF NOT EXISTS media (
    id           CHAR(22) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT '128 random bits',
    owner_id     BIGINT UNSIGNED NOT NULL,
    content_type VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'as the content tells',
    size         INT UNSIGNED NOT NULL,
    created_at   DATETIME(3) NOT NULL,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
