//! Who is asking: extractors that check the token first and then yield access
//! to the data, so that no handler can reach it without naming its scope.

use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use callboard_domain::access::{Scope, Scopes, Tenant};
use callboard_domain::audit::{Actor, By};
use callboard_domain::clock::Timestamp;
use callboard_domain::id::{ClientId, TenantId};
use callboard_domain::store::Store;
use callboard_engine::Engine;
use rand::Rng;

use super::problem::Problem;
use super::serve::PeerAddress;
use super::state::{Inner, State};

/// The header by which the operator names a tenant.
const TENANT_HEADER: &str = "callboard-tenant";

/// The tenant of an operator who names none.
const DEFAULT_TENANT: &str = "default";

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
    address: Option<IpAddr>,
    scope: PhantomData<S>,
}

/// Access to the whole deployment, for its operator.
pub struct Operator {
    inner: Arc<Inner>,
    address: Option<IpAddr>,
}

impl Operator {
    /// The database.
    pub fn store(&self) -> &dyn Store {
        &*self.inner.store
    }

    /// Who is asking, from where and when, for the audit log.
    pub fn by(&self) -> By {
        By { actor: Actor::Operator, address: self.address, at: self.inner.clock.now() }
    }
}

impl<S: Needed> Granted<S> {
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
        By { actor: self.actor.clone(), address: self.address, at: self.now() }
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
        Duration::from_secs(self.inner.options.token_seconds.into())
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

/// Who is asking.
enum Caller {
    Operator,
    Client { tenant: Arc<Tenant>, scopes: Scopes, actor: Actor },
}

async fn caller(parts: &Parts, inner: &Inner) -> Result<Caller, Problem> {
    let Some(header) = parts.headers.get(AUTHORIZATION) else {
        return Err(Problem::unauthenticated("send a token: Authorization: Bearer ...", false));
    };
    let refused = || Problem::unauthenticated("the token is not valid, or has expired", true);
    let text = header.to_str().map_err(|_| refused())?;
    let (scheme, token) = text.split_once(' ').ok_or_else(refused)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Problem::unauthenticated("send a bearer token: Authorization: Bearer ...", false));
    }
    let token = token.trim();
    if inner.admin.is(token) {
        return Ok(Caller::Operator);
    }
    let bearer = inner.tokens.read(token, inner.clock.now()).ok_or_else(refused)?;
    let client = inner.directory.client(&bearer.client).await?;
    let client =
        client.filter(|client| client.enabled && client.tenant == bearer.tenant).ok_or_else(refused)?;
    let tenant = inner.directory.tenant_by_key(client.tenant).await?.ok_or_else(refused)?;
    // What was taken from the client since counts at once.
    let scopes = bearer.scopes.intersection(client.scopes);
    let actor = Actor::Client { id: client.id.clone(), name: client.name.clone() };
    Ok(Caller::Client { tenant, scopes, actor })
}

impl<S: Needed> FromRequestParts<State> for Granted<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        let inner = Arc::clone(&state.inner);
        let address = address(parts);
        let (tenant, scopes, actor) = match caller(parts, &inner).await? {
            Caller::Client { scopes, .. } if !scopes.contains(S::SCOPE) => {
                return Err(Problem::lacks(S::SCOPE));
            }
            Caller::Client { tenant, scopes, actor } => (tenant, scopes, actor),
            Caller::Operator => {
                let by = By { actor: Actor::Operator, address, at: inner.clock.now() };
                let tenant = inner.directory.tenant_or_make(named_tenant(parts)?, by).await?;
                (tenant, Scopes::all(), Actor::Operator)
            }
        };
        Ok(Self { inner, tenant, scopes, actor, address, scope: PhantomData })
    }
}

/// Where a request comes from.
pub(super) fn address(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<PeerAddress>().map(|peer| peer.0.ip())
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
        match caller(parts, &inner).await? {
            Caller::Operator => Ok(Self { inner, address: address(parts) }),
            Caller::Client { .. } => Err(Problem::operator_only()),
        }
    }
}
