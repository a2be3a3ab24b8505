//! The closed lists of words in the OpenAPI document, taken from where they are
//! defined.

use callboard_domain::access::Scope;
use callboard_domain::delivery::{AnswerClass, Cause, State};
use callboard_domain::job::Selection;
use callboard_domain::resource::Resource;
use callboard_domain::webhook::Status;
use callboard_domain::wire::Dialect;
use callboard_domain::wire::ingresse::Hook;
use callboard_domain::wire::openticket::RESOURCES;
use callboard_domain::wire::viagogo::Topic;
use serde_json::{Value, json};
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{RefOr, schema};
use utoipa::{PartialSchema, ToSchema};

fn one_of<T: Into<Value>>(
    kind: SchemaType,
    words: impl IntoIterator<Item = T>,
    description: &str,
) -> RefOr<schema::Schema> {
    let object = ObjectBuilder::new()
        .schema_type(kind)
        .enum_values(Some(words))
        .description(Some(description.to_owned()));
    RefOr::T(Schema::Object(object.build()))
}

macro_rules! words {
    ($($(#[doc = $doc:literal])+ $name:ident = $words:expr;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<schema::Schema> {
                one_of(Type::String.into(), $words, concat!($($doc),+).trim_start())
            }
        }

        impl ToSchema for $name {}
    )+};
}

words! {
    /// In which words a webhook is told.
    DialectWord = Dialect::ALL.map(Dialect::as_str);
    /// Whether a webhook hears and is called.
    StatusWord = Status::ALL.map(Status::as_str);
    /// Where a delivery stands.
    DeliveryState = State::ALL.map(State::as_str);
    /// What the last attempt was answered with.
    AnswerWord = AnswerClass::ALL.map(AnswerClass::as_str);
    /// Where a delivery may stand that is sent again.
    ReplayState = Selection::STATES.map(State::as_str);
    /// Why a delivery fails.
    FailureWord = Cause::FAILURES.map(Cause::as_str);
    /// What a client may do.
    ScopeWord = Scope::ALL.map(Scope::as_str);
    /// A hook of Ingresse.
    HookWord = Hook::ALL.map(Hook::as_str);
    /// A topic of viagogo.
    TopicWord = Topic::ALL.map(Topic::as_str);
    /// A resource of OpenTicket.
    OpenTicketResource = RESOURCES.map(Resource::as_str);
    /// A trigger of OpenTicket.
    OpenTicketTrigger = RESOURCES[0].triggers().iter().map(|trigger| trigger.as_str());
    /// Whether deliveries wait for each other.
    OrderingWord = ["none", "subject"];
    /// Whether an update that waits behind a newer one is skipped.
    CollapseWord = ["none", "latest"];
    /// How deliveries are signed.
    SignatureWord = ["hmac", "ed25519"];
    /// Yes or no, as forms say it; left empty it is no.
    FormBoolean = ["true", "1", "on", "yes", "false", "0", "off", "no", ""];
}

/// Yes or no, as clients send it that take texts and numbers for booleans.
#[derive(Debug)]
pub enum LooseBoolean {}

impl PartialSchema for LooseBoolean {
    fn schema() -> RefOr<schema::Schema> {
        let words = json!([true, false, null, 1, 0, "true", "1", "on", "yes", "false", "0", "off", "no", ""]);
        let description = "Yes or no, as clients send it that take texts and numbers for booleans.";
        one_of(SchemaType::AnyValue, words.as_array().into_iter().flatten().cloned(), description)
    }
}

impl ToSchema for LooseBoolean {}
