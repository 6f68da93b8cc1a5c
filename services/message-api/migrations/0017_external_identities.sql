-- Who of an issuer of tokens is which user here. Bytes, since the pair is compared exactly: other
-- columns of text take no notice of spaces at the end.
CREATE TABLE IF NOT EXISTS external_identities (
    issuer     VARBINARY(255) NOT NULL,
    subject    VARBINARY(255) NOT NULL,
    user_id    BIGINT UNSIGNED NOT NULL,
    not_before DATETIME(3) NULL COMMENT 'older tokens are of an account that was deleted',
    PRIMARY KEY (issuer, subject)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
