-- Secrets are sealed before they are written: signing secrets, what is confidential
-- in the settings of webhooks, and what the deployment keeps to itself.
--
-- A sealed value is a byte of version, the id of its key in eight bytes, a nonce,
-- and what is encrypted. Where one stands, the old column is empty, and settings
-- have masks. Rows without one are from before; they are sealed when a node starts.

ALTER TABLE webhooks ADD COLUMN sealed bytea;
ALTER TABLE secrets ADD COLUMN sealed bytea;
ALTER TABLE deployment ADD COLUMN sealed bytea;

-- Which keys are used, and what one key has sealed.
CREATE INDEX webhooks_sealed ON webhooks (substr(sealed, 2, 8));
CREATE INDEX secrets_sealed ON secrets (substr(sealed, 2, 8));
