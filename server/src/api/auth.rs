//! Who is asking: extractors that check the token first and then yield access
//! to the data, so that no handler can reach it without naming its scope.

use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::HeaderValue;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use callboard_domain::access::{Scope, Scopes, Tenant};
use callboard_domain::audit::{Actor, By};
use callboard_domain::clock::Timestamp;
use callboard_domain::id::{ClientId, TenantId};
use callboard_domain::store::Store;
use callboard_engine::Engine;
use rand::Rng;
use tokio_util::sync::CancellationToken;

use super::oidc::{Issuer, Refusal};
use super::peer::{Peer, origin};
use super::problem::Problem;
use super::state::{Inner, State};

/// The header by which the operator names a tenant.
const TENANT_HEADER: &str = "callboard-tenant";

/// The tenant of an operator who names none.
pub(crate) const DEFAULT_TENANT: &str = "default";

/// How often an answer that goes on looks whether its caller is still obeyed.
/// With what the directory remembers this stays below a second.
const LOOKED: Duration = Duration::from_millis(300);

/// A scope that a route needs, as a type.
pub trait Needed: Send + Sync + 'static {
    /// The scope.
    const SCOPE: Scope;
}

macro_rules! needed {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}

        impl Needed for $name {
            const SCOPE: Scope = Scope::$name;
        }
    )+};
}

needed! {
    /// For routes that show webhooks.
    ReadWebhooks,
    /// For routes that change webhooks.
    WriteWebhooks,
    /// For routes that show events.
    ReadEvents,
    /// For routes that publish events.
    WriteEvents,
    /// For routes that manage clients.
    Admin,
}

/// Access to one tenant's data, for a caller who has the scope `S`.
pub struct Granted<S: Needed> {
    inner: Arc<Inner>,
    /// Whose data it is.
    pub tenant: Arc<Tenant>,
    scopes: Scopes,
    actor: Actor,
    address: IpAddr,
    /// When a token ends that is not ours.
    expires: Option<Timestamp>,
    scope: PhantomData<S>,
}

/// Access to the whole deployment, for its operator.
pub struct Operator {
    inner: Arc<Inner>,
    address: IpAddr,
}

impl Operator {
    /// Access for the operator, who was recognised by a session.
    pub(crate) fn by_session(inner: Arc<Inner>, address: IpAddr) -> Self {
        Self { inner, address }
    }

    /// The database.
    pub fn store(&self) -> &dyn Store {
        &*self.inner.store
    }

    /// Who is asking, from where and when, for the audit log.
    pub fn by(&self) -> By {
        By { actor: Actor::Operator, address: Some(self.address), at: self.inner.clock.now() }
    }
}

impl<S: Needed> Granted<S> {
    /// Access for somebody who was recognised by a session, which ends at `ends`.
    ///
    /// # Errors
    /// When the scope is not among theirs.
    pub(crate) fn by_session(
        inner: Arc<Inner>,
        tenant: Arc<Tenant>,
        scopes: Scopes,
        actor: Actor,
        address: IpAddr,
        ends: Timestamp,
    ) -> Result<Self, Problem> {
        if !scopes.contains(S::SCOPE) {
            return Err(Problem::lacks(S::SCOPE));
        }
        Ok(Self { inner, tenant, scopes, actor, address, expires: Some(ends), scope: PhantomData })
    }

    /// The database.
    pub fn store(&self) -> &dyn Store {
        &*self.inner.store
    }

    /// The time of day.
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// Who is asking, from where and when, for the audit log.
    pub fn by(&self) -> By {
        By { actor: self.actor.clone(), address: Some(self.address), at: self.now() }
    }

    /// Cancelled when answers that go on have to end, because the program does.
    pub(crate) fn closing(&self) -> CancellationToken {
        self.inner.closing.clone()
    }

    /// The engine.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.inner.engine
    }

    /// Whether the caller has another scope too.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(scope)
    }

    /// What the caller may do.
    pub fn scopes(&self) -> Scopes {
        self.scopes
    }

    /// The first wait of retries that double.
    pub fn retry_base(&self) -> Duration {
        self.inner.options.retry_base
    }

    /// How long an answer may go on that began with a valid token.
    pub fn token_lifetime(&self) -> Duration {
        let most = Duration::from_secs(self.inner.options.token_seconds.into());
        let left =
            |expires: Timestamp| Duration::try_from(expires.duration_since(self.now())).unwrap_or_default();
        self.expires.map_or(most, |expires| most.min(left(expires)))
    }

    /// Takes `count` events from what the tenant may publish.
    ///
    /// # Errors
    /// When it has published too much; nothing is taken then.
    pub fn take_from_quota(&self, count: usize) -> Result<(), Problem> {
        let Some(quota) = &self.inner.quota else { return Ok(()) };
        let detail = "the tenant publishes faster than it may; nothing was recorded";
        quota.take(self.tenant.key, count).map_err(|wait| Problem::too_many(detail, wait))
    }

    /// Puts back what was taken for events that were not recorded.
    pub fn put_back_into_quota(&self, count: usize) {
        if let Some(quota) = &self.inner.quota {
            quota.put_back(self.tenant.key, count);
        }
    }

    /// Ends when the caller is not obeyed any longer: for answers that go on.
    pub async fn until_revoked(&self) {
        let Actor::Client { id, .. } = &self.actor else { return std::future::pending().await };
        loop {
            tokio::time::sleep(LOOKED).await;
            // While the database is away nobody knows, and nothing is told either.
            let Ok(client) = self.inner.directory.client(id).await else { continue };
            if client.is_none_or(|client| !client.enabled) {
                return;
            }
        }
    }

    /// Calls `draw` with the source of chance.
    pub fn with_rng<T>(&self, draw: impl FnOnce(&mut dyn Rng) -> T) -> T {
        draw(&mut **self.inner.rng.lock())
    }

    /// Forgets what is remembered of a client that was changed.
    pub fn forget_client(&self, id: &ClientId) {
        self.inner.directory.forget_client(id);
    }
}

/// Who was let in, and where to.
enum Admitted {
    /// Everywhere.
    Operator,
    /// To one tenant's data.
    ToTenant {
        actor: Actor,
        tenant: Arc<Tenant>,
        scopes: Scopes,
        /// When a token ends that is not ours.
        expires: Option<Timestamp>,
    },
}

async fn admit(parts: &Parts, state: &State) -> Result<Admitted, Problem> {
    let Some(header) = parts.headers.get(AUTHORIZATION) else {
        return Err(Problem::unauthenticated("send a token: Authorization: Bearer ...", false));
    };
    let origin = origin(address(parts, state));
    let guesses = &state.inner.guesses.tokens;
    let wait = guesses.wait(&origin);
    let refused = match recognise(header, &state.inner, wait.is_some()).await? {
        Ok(admitted) => return Ok(admitted),
        Err(refused) => refused,
    };
    guesses.record(origin);
    Err(wait.map_or(refused, |wait| Problem::too_many("too many wrong tokens came from your address", wait)))
}

/// Who has the token of this header, or how it is refused.
///
/// Tokens that can't be guessed are looked at whoever else shares the address:
/// so nobody is locked out by others' failures.
async fn recognise(
    header: &HeaderValue,
    inner: &Inner,
    too_many_guesses: bool,
) -> Result<Result<Admitted, Problem>, Problem> {
    let refused = || Err(Problem::unauthenticated("the token is not valid, or has expired", true));
    let Some((scheme, token)) = header.to_str().ok().and_then(|text| text.split_once(' ')) else {
        return Ok(refused());
    };
    if !scheme.eq_ignore_ascii_case("bearer") {
        let detail = "send a bearer token: Authorization: Bearer ...";
        return Ok(Err(Problem::unauthenticated(detail, false)));
    }
    let token = token.trim();
    if !(too_many_guesses && inner.admin.guessable) && inner.admin.is(token) {
        return Ok(Ok(Admitted::Operator));
    }
    let Some(bearer) = inner.tokens.read(token, inner.clock.now()) else {
        return match &inner.issuer {
            None => Ok(refused()),
            Some(issuer) => by_issuer(issuer, token, inner).await,
        };
    };
    let client = inner.directory.client(&bearer.client).await?;
    let Some(client) = client.filter(|client| client.enabled && client.tenant == bearer.tenant) else {
        return Ok(refused());
    };
    let Some(tenant) = inner.directory.tenant_by_key(client.tenant).await? else { return Ok(refused()) };
    // What was taken from the client since counts at once.
    let scopes = bearer.scopes.intersection(client.scopes);
    let actor = Actor::Client { id: client.id.clone(), name: client.name.clone() };
    Ok(Ok(Admitted::ToTenant { actor, tenant, scopes, expires: None }))
}

/// Who has this token of the issuer.
async fn by_issuer(
    issuer: &Issuer,
    token: &str,
    inner: &Inner,
) -> Result<Result<Admitted, Problem>, Problem> {
    let subject = match issuer.read(token, inner.clock.now()).await {
        Ok(subject) => subject,
        Err(refusal @ Refusal::Unavailable) => {
            return Err(Problem::issuer_unavailable(format!("the token can't be checked: {refusal}")));
        }
        // It may as well be one of ours that has expired.
        Err(Refusal::Malformed | Refusal::Algorithm) => {
            return Ok(Err(Problem::unauthenticated("the token is not valid, or has expired", true)));
        }
        Err(refusal) => {
            return Ok(Err(Problem::unauthenticated(&format!("the token is not valid: {refusal}"), true)));
        }
    };
    let Some(tenant) = inner.directory.tenant(&subject.tenant).await? else {
        return Ok(Err(Problem::unauthenticated("the token is not valid: there is no such tenant", true)));
    };
    let actor = Actor::OpenId { id: subject.id };
    Ok(Ok(Admitted::ToTenant { actor, tenant, scopes: subject.scopes, expires: Some(subject.expires) }))
}

impl<S: Needed> FromRequestParts<State> for Granted<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        let inner = Arc::clone(&state.inner);
        let address = address(parts, state);
        let (actor, tenant, scopes, expires) = match admit(parts, state).await? {
            Admitted::ToTenant { scopes, .. } if !scopes.contains(S::SCOPE) => {
                return Err(Problem::lacks(S::SCOPE));
            }
            Admitted::ToTenant { actor, tenant, scopes, expires } => (actor, tenant, scopes, expires),
            Admitted::Operator => {
                let by = By { actor: Actor::Operator, address: Some(address), at: inner.clock.now() };
                let tenant = inner.directory.tenant_or_make(named_tenant(parts)?, by).await?;
                (Actor::Operator, tenant, Scopes::all(), None)
            }
        };
        Ok(Self { inner, tenant, scopes, actor, address, expires, scope: PhantomData })
    }
}

/// Where a request comes from.
fn address(parts: &Parts, state: &State) -> IpAddr {
    Peer::of(state, &parts.extensions, &parts.headers).address
}

fn named_tenant(parts: &Parts) -> Result<TenantId, Problem> {
    let named = parts.headers.get(TENANT_HEADER).map(|value| value.to_str().unwrap_or_default());
    let parsed = named.unwrap_or(DEFAULT_TENANT).parse();
    parsed.map_err(|fault| Problem::parameter("Callboard-Tenant", &fault))
}

impl FromRequestParts<State> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        let inner = Arc::clone(&state.inner);
        match admit(parts, state).await? {
            Admitted::Operator => Ok(Self { inner, address: address(parts, state) }),
            Admitted::ToTenant { .. } => Err(Problem::operator_only()),
        }
    }
}
