-- Messages lie together by conversation, in seq order. A deleted one keeps its row (without its
-- text), so that paging from it and its idempotency key still work.
CREATE TABLE IF NOT EXISTS messages (
    conversation_id BIGINT UNSIGNED NOT NULL,
    seq             BIGINT UNSIGNED NOT NULL,
    id              BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
    author_id       BIGINT UNSIGNED NULL COMMENT 'NULL: a guest',
    author_name     VARCHAR(32) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
    text            MEDIUMTEXT NOT NULL,
    media           TEXT NULL COMMENT 'a JSON array of URLs; NULL for none',
    created_at      DATETIME(3) NOT NULL,
    edited_at       DATETIME(3) NULL,
    deleted_at      DATETIME(3) NULL,
    read_at         DATETIME(3) NULL COMMENT 'directs only',
    client_id       VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    dedup_key       BINARY(16) NULL COMMENT 'from author and client_id',
    PRIMARY KEY (conversation_id, seq),
    UNIQUE KEY messages_id (id),
    UNIQUE KEY messages_dedup (dedup_key)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
