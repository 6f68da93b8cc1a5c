-- One direct conversation per pair of users: the key decides between replicas that race.
CREATE TABLE IF NOT EXISTS directs (
    low_user        BIGINT UNSIGNED NOT NULL COMMENT 'the smaller user id',
    high_user       BIGINT UNSIGNED NOT NULL,
    conversation_id BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (low_user, high_user),
    UNIQUE KEY directs_conversation (conversation_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
