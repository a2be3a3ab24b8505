//! Opens the database: its URL, the connections and their settings, and TLS.

use std::str::FromStr as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::Options;
use super::failure::{self, Failure};
use super::patience::{ANSWERED, CONNECTED, run_within};
use super::sql::Connection;
use crate::OpenError;

/// The oldest version that will do, as the server numbers them.
const OLDEST: u32 = 15;

/// Where a server listens whose URL does not say it.
const PORT: u16 = 5432;

/// What every connection is set to, whatever the server's own settings are. An
/// acknowledged write is on disk, and nothing waits for ever. Statements are
/// written for indexes; the planner may not choose otherwise because a partition
/// was empty when it looked.
const SETTINGS: &str = "SET synchronous_commit = on; SET statement_timeout = '30s'; SET lock_timeout = '8s';
    SET idle_in_transaction_session_timeout = '5s'; SET default_transaction_isolation = 'read committed';
    SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_hashjoin = off;
    SET enable_mergejoin = off; SET jit = off; SET timezone = 'UTC'";

/// What the URL and the options say.
#[derive(Clone)]
pub(super) struct Target {
    /// Where to connect to.
    pub(super) config: Config,
    /// How.
    pub(super) tls: MakeRustlsConnect,
    /// Statements for each new connection.
    pub(super) settings: String,
}

/// Reads the URL.
pub(super) fn target(url: &str, schema: Option<&str>) -> Result<Target, OpenError> {
    let (url, mode) = take_ssl_mode(url)?;
    let mut config = Config::from_str(&url).map_err(|error| OpenError::PostgresUrl(failure::text(&error)))?;
    if config.get_dbname().is_none() {
        return Err(OpenError::PostgresUrl("it names no database: postgres://USER@HOST/DATABASE".to_owned()));
    }
    config.ssl_mode(mode.negotiated());
    if config.get_application_name().is_none() {
        config.application_name("callboard");
    }
    config.connect_timeout(CONNECTED);
    // One that nothing has come through for a while is tried: what is between here
    // and there may have forgotten it.
    config.keepalives_idle(Duration::from_secs(10));
    config.keepalives_interval(Duration::from_secs(3));
    config.keepalives_retries(3);
    config.tcp_user_timeout(ANSWERED);
    let path = schema.map_or(String::new(), |schema| format!("; SET search_path = {}", quoted(schema)));
    Ok(Target { config, tls: MakeRustlsConnect::new(tls(mode)?), settings: format!("{SETTINGS}{path}") })
}

/// A name as statements have it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// How much is asked of TLS, in the words of PostgreSQL's own clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tls {
    /// None.
    Disable,
    /// Where the server has it, whoever the server is.
    Prefer,
    /// Always, whoever the server is.
    Require,
    /// Always, and the server shows a certificate of its name that this system
    /// trusts.
    Verify,
}

impl Tls {
    const fn negotiated(self) -> SslMode {
        match self {
            Self::Disable => SslMode::Disable,
            Self::Prefer => SslMode::Prefer,
            Self::Require | Self::Verify => SslMode::Require,
        }
    }
}

/// Takes `sslmode` out of the URL, because the library knows only some of its
/// values.
fn take_ssl_mode(url: &str) -> Result<(String, Tls), OpenError> {
    let Some((address, query)) = url.split_once('?') else { return Ok((url.to_owned(), Tls::Prefer)) };
    let mut mode = Tls::Prefer;
    let mut others = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", "disable")) => mode = Tls::Disable,
            Some(("sslmode", "allow" | "prefer")) => mode = Tls::Prefer,
            Some(("sslmode", "require")) => mode = Tls::Require,
            Some(("sslmode", "verify-ca" | "verify-full")) => mode = Tls::Verify,
            Some(("sslmode", _)) => {
                let known = "sslmode must be disable, prefer, require or verify-full";
                return Err(OpenError::PostgresUrl(known.to_owned()));
            }
            _ => others.push(pair),
        }
    }
    let query = others.join("&");
    Ok((if query.is_empty() { address.to_owned() } else { format!("{address}?{query}") }, mode))
}

fn tls(mode: Tls) -> Result<ClientConfig, OpenError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(format!("TLS: {error}")))?;
    if mode != Tls::Verify {
        let anyone = Arc::new(Anyone(provider));
        return Ok(builder.dangerous().with_custom_certificate_verifier(anyone).with_no_client_auth());
    }
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Encrypts for whoever answers, which is what `prefer` and `require` mean.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The connections, made when they are needed. `process` is what this process is
/// called on each of them, once that is known.
pub(super) fn pool(target: &Target, options: &Options, process: Process) -> Result<Pool, OpenError> {
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(target.config.clone(), target.tls.clone(), recycling);
    let settings = target.settings.clone();
    let prepare = Hook::async_fn(move |conn: &mut Connection, _| {
        let name = process.get().map_or("", String::as_str);
        let settings = format!("{settings}; SET callboard.process = '{name}'");
        Box::pin(async move {
            let told = run_within(CONNECTED, conn, &settings).await;
            told.map_err(|failure| match failure {
                Failure::Sql(error) => HookError::Backend(error),
                other => HookError::message(other.to_string()),
            })
        })
    });
    Pool::builder(manager)
        .max_size(options.max_connections.max(2))
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(CONNECTED))
        .create_timeout(Some(CONNECTED))
        .recycle_timeout(Some(CONNECTED))
        .post_create(prepare)
        .build()
        .map_err(|error| unusable(error.to_string()))
}

/// What a process is called where it signals and claims: a UUID of the server's.
pub(super) type Process = Arc<OnceLock<String>>;

/// Makes sure that the server will do, and that the schema is there. Returns the
/// schema's name, and names the process.
pub(super) async fn prepare(
    conn: &Connection,
    schema: Option<&str>,
    process: &Process,
) -> Result<String, OpenError> {
    let version = "SELECT current_setting('server_version_num')::integer / 10000,
        current_setting('server_version'), current_schema()::text, gen_random_uuid()::text";
    if let Some(schema) = schema {
        let make = format!("CREATE SCHEMA IF NOT EXISTS {}", quoted(schema));
        conn.batch_execute(&make).await.map_err(|error| refused(&error))?;
    }
    let row = conn.query_one(version, &[]).await.map_err(|error| refused(&error))?;
    let (major, found, schema): (i32, String, Option<String>) = (row.get(0), row.get(1), row.get(2));
    if major.unsigned_abs() < OLDEST {
        return Err(OpenError::OldServer { found, wanted: OLDEST });
    }
    let name = process.get_or_init(|| row.get(3));
    let named = format!("SET callboard.process = '{name}'");
    conn.batch_execute(&named).await.map_err(|error| refused(&error))?;
    schema.ok_or_else(|| unusable("search_path names no schema that exists".to_owned()))
}

/// Why the server did not do it.
pub(super) fn refused(error: &tokio_postgres::Error) -> OpenError {
    let advice = match error.code().map(SqlState::code) {
        Some("28000" | "28P01") => {
            "; check the user and the password in `database`, and whether the server's pg_hba.conf admits them"
        }
        Some("3D000") => "; make that database, or name another one in `database`",
        Some("42501") => "; let the user make tables in the schema, or make the database the user's own",
        Some("53300") => "; let the server take more connections, or lower `postgres.max_connections`",
        None if failure::is_io(error) => NOT_THERE,
        _ => "",
    };
    OpenError::Unreachable { server: String::new(), reason: failure::text(error), advice }
}

/// What to look at where nobody answers.
const NOT_THERE: &str =
    "; check that the server runs and takes connections there, and that `database` names its host and port";

/// The server is not to blame, or nothing is to be advised.
pub(super) fn unusable(reason: String) -> OpenError {
    OpenError::Unreachable { server: String::new(), reason, advice: "" }
}

impl Target {
    /// Says of an error which server it is about.
    pub(super) fn name(&self, error: OpenError) -> OpenError {
        match error {
            OpenError::Unreachable { reason, advice, .. } => {
                OpenError::Unreachable { server: format!(" at {}", self.server()), reason, advice }
            }
            other => other,
        }
    }

    /// The host and the port, or several; nothing else that the URL says.
    fn server(&self) -> String {
        let ports = self.config.get_ports();
        let servers = self.config.get_hosts().iter().enumerate().map(|(number, host)| {
            let port = ports.get(number).or(ports.first()).unwrap_or(&PORT);
            match host {
                Host::Tcp(name) if name.contains(':') => format!("[{name}]:{port}"),
                Host::Tcp(name) => format!("{name}:{port}"),
                #[cfg(unix)]
                Host::Unix(path) => format!("{}/.s.PGSQL.{port}", path.display()),
            }
        });
        servers.collect::<Vec<_>>().join(" or ")
    }
}

impl From<Failure> for OpenError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Corrupt(what) => Self::Damaged(what),
            Failure::Sql(error) => refused(&error),
            Failure::Silent => {
                let reason = Failure::Silent.to_string();
                Self::Unreachable { server: String::new(), reason, advice: NOT_THERE }
            }
            other => unusable(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_of_tls_is_taken_out_of_the_url() {
        let url = "postgres://u:p@h/d?connect_timeout=3&sslmode=verify-full";
        let (rest, mode) = take_ssl_mode(url).expect("a good URL");
        assert_eq!((rest.as_str(), mode), ("postgres://u:p@h/d?connect_timeout=3", Tls::Verify));
        let (rest, mode) = take_ssl_mode("postgres://h/d?sslmode=disable").expect("a good URL");
        assert_eq!((rest.as_str(), mode), ("postgres://h/d", Tls::Disable));
        assert!(take_ssl_mode("postgres://h/d?sslmode=perhaps").is_err());
    }

    #[test]
    fn servers_are_named_without_what_is_secret() {
        let server = |url: &str| target(url, None).expect("a good URL").server();
        assert_eq!(server("postgres://u:hunter2@db.internal/d"), "db.internal:5432");
        assert_eq!(server("postgres://u:hunter2@one:1,two:2/d"), "one:1 or two:2");
        assert_eq!(server("postgres://u:hunter2@[::1]:5433/d"), "[::1]:5433");
    }

    #[test]
    fn a_url_that_is_refused_keeps_its_password() {
        for url in ["postgres://u:hunter2@h:port/d", "postgres://u:hunter2@h", "postgres://u:hunter2@h/d?x=1"]
        {
            let text = target(url, None).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(text.starts_with("the database URL: ") && !text.contains("hunter2"), "{text}");
        }
    }
}
