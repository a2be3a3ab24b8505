-- Secrets are sealed before they are written: signing secrets, what is confidential
-- in the settings of webhooks, and what the deployment keeps to itself.
--
-- A sealed value is a byte of version, the id of its key in eight bytes, a nonce,
-- and what is encrypted. Where one stands, the old column is empty, and settings
-- have masks. Rows without one are from before; they are sealed when the database
-- is opened.

ALTER TABLE webhooks ADD COLUMN sealed BLOB;
ALTER TABLE secrets ADD COLUMN sealed BLOB;
ALTER TABLE deployment ADD COLUMN sealed BLOB;

-- Which keys are used, and what one key has sealed.
CREATE INDEX webhooks_sealed ON webhooks (substr(sealed, 2, 8));
CREATE INDEX secrets_sealed ON secrets (substr(sealed, 2, 8));

-- 1 while the file may hold secrets in plain, in pages that are free by now too.
INSERT INTO marks (name, value) SELECT 'plain_secrets', EXISTS (SELECT 1 FROM deployment);
