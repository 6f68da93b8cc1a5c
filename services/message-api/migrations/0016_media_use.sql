-- How much each user has uploaded. A small file counts as a block of 4 KiB: it costs a row too.
CREATE TABLE IF NOT EXISTS media_use (
    owner_id BIGINT UNSIGNED NOT NULL,
    bytes    BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (owner_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
INSERT IGNORE INTO media_use (owner_id, bytes)
SELECT owner_id, SUM(GREATEST(size, 4096)) FROM media GROUP BY owner_id;
