//! Whatever is published can be read back from what is told.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{all_topics, body, hooks, openticket, published, stored, tell};
use crate::catalogue::{Kind, Shape, shape};
use crate::clock::Timestamp;
use crate::resource::Resource;
use crate::wire::shape::camel_case;

/// Anything that the catalogue lets stand in a field of this kind.
fn value(kind: Kind, depth: u32) -> BoxedStrategy<Value> {
    match kind {
        Kind::Integer => any::<i32>().prop_map(Value::from).boxed(),
        Kind::Number => {
            prop_oneof![any::<i32>().prop_map(Value::from), (-1e9..1e9).prop_map(Value::from)].boxed()
        }
        Kind::Text => "\\PC{0,12}".prop_map(Value::from).boxed(),
        Kind::Boolean => any::<bool>().prop_map(Value::from).boxed(),
        Kind::Time => (0..4_000_000_000_i64, any::<bool>())
            .prop_map(|(second, offset)| {
                let time = Timestamp::from_second(second).expect("a time");
                let end = if offset { "-03:00" } else { "Z" };
                Value::from(format!("{}{end}", time.strftime("%Y-%m-%dT%H:%M:%S")))
            })
            .boxed(),
        Kind::Id => {
            prop_oneof![any::<u32>().prop_map(Value::from), "[a-z0-9-]{1,9}".prop_map(Value::from)].boxed()
        }
        Kind::Any => {
            prop_oneof![Just(json!({"some_thing": [1]})), any::<bool>().prop_map(Value::from)].boxed()
        }
        Kind::OneOf(words) => proptest::sample::select(words).prop_map(Value::from).boxed(),
        Kind::List(_) | Kind::Object(_) if depth == 0 => {
            Just(if matches!(kind, Kind::List(_)) { json!([]) } else { json!({}) }).boxed()
        }
        Kind::List(kind) => {
            proptest::collection::vec(value(*kind, depth - 1), 0..3).prop_map(Value::from).boxed()
        }
        Kind::Object(shape) => object(shape, depth - 1),
    }
}

/// Any choice of an object's known members.
fn object(shape: &'static Shape, depth: u32) -> BoxedStrategy<Value> {
    let member = |index: usize| {
        let field = &shape.fields[index];
        proptest::option::of(value(field.kind, depth))
            .prop_map(|value| value.map(|value| (field.name, value)))
    };
    let members: Vec<_> = (0..shape.fields.len()).map(member).collect();
    let object = |members: Vec<Option<(&'static str, Value)>>| {
        let members: Map<String, Value> =
            members.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect();
        Value::Object(members)
    };
    members.prop_map(object).boxed()
}

fn data(resource: Resource) -> BoxedStrategy<Value> {
    object(shape(resource).expect("a known shape"), 3)
}

/// Reads a value of an Ingresse message back into canonical form, guided by
/// what was published only as far as the dialect itself forgets: which of two
/// empty collections it was.
fn agrees(told: &Value, given: &Value) -> bool {
    match (told, given) {
        (Value::Object(told), Value::Object(given)) => given
            .iter()
            .all(|(name, given)| told.get(&*camel_case(name)).is_some_and(|told| agrees(told, given))),
        (Value::Array(told), Value::Array(given)) => {
            told.len() == given.len() && told.iter().zip(given).all(|(told, given)| agrees(told, given))
        }
        _ => told == given,
    }
}

/// The parts of a ticket that its kind and place let it tell.
fn tellable(ticket: &Value, is_child: bool) -> Value {
    let mut ticket = ticket.clone();
    let members = ticket.as_object_mut().expect("an object");
    let is_group = members.get("type").is_some_and(|kind| kind == "Group");
    if !is_group {
        members.remove("passkeys");
    } else if let Some(value) = members.get_mut("value").and_then(Value::as_object_mut) {
        value.retain(|name, _| ["price", "fee_sale", "fee_producer"].contains(&name.as_str()));
    }
    if is_child {
        members.remove("quantity_diff");
        if members.get("attributes") == Some(&json!({})) {
            members.insert("attributes".to_owned(), json!([]));
        }
    }
    if let Some(Value::Array(children)) = members.get_mut("children") {
        *children = children.iter().map(|child| tellable(child, true)).collect();
    }
    ticket
}

/// An event's attributes in the plain form in which they are published.
fn plain_attributes(told: &Value) -> Option<Map<String, Value>> {
    let attribute = |told: &Value| Some((told["name"].as_str()?.to_owned(), told["value"].clone()));
    told.as_object()?.values().map(attribute).collect()
}

fn with_event_times(told: &mut Value, given: &Value) -> bool {
    ["createdAt", "updatedAt"].into_iter().zip(["created_at", "updated_at"]).all(|(camel, snake)| {
        let Some(given) = given.get(snake).and_then(Value::as_str) else { return told[camel].is_null() };
        let text = told[camel].as_str().unwrap_or_default().to_owned();
        told[camel] = given.into();
        let same = text.parse::<Timestamp>().ok() == given.parse::<Timestamp>().ok();
        same && text.ends_with("+00:00") && text.len() == "2018-03-06T20:49:04.468967+00:00".len()
    })
}

/// What the platform's description lets be told: no state without what it
/// says, and no merged event without its id.
fn describable(given: &Value) -> Value {
    match given {
        Value::Array(elements) => elements.iter().map(describable).collect(),
        Value::Object(members) => {
            let told = |(name, value): (&String, &Value)| match (name.as_str(), value) {
                ("state", state) if state.get("visible_in_venue_map").is_none() => None,
                ("merged_events", Value::Array(events)) => {
                    let named = events.iter().filter(|event| event.get("id").is_some()).cloned().collect();
                    Some((name.clone(), named))
                }
                _ => Some((name.clone(), describable(value))),
            };
            Value::Object(members.iter().filter_map(told).collect())
        }
        other => other.clone(),
    }
}

/// What a viagogo payload tells is what was given, or null.
fn contains(told: &Value, given: &Value) -> bool {
    match (told, given) {
        (Value::Object(told), Value::Object(given)) => {
            let known = |(name, told): (&String, &Value)| {
                name.starts_with('_') || contains(told, given.get(name).unwrap_or(&Value::Null))
            };
            told.iter().all(known) && given.keys().all(|name| told.contains_key(name))
        }
        (Value::Array(told), Value::Array(given)) => {
            told.len() == given.len() && told.iter().zip(given).all(|(told, given)| contains(told, given))
        }
        (told, Value::Null) if told.is_object() => false,
        _ => told == given,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_event_can_be_read_back_from_ingresse(data in data(Resource::Event)) {
        let text = json!({"type": "event.updated", "subject": {"id": "7"}, "data": data});
        let mut told = body(&tell(&hooks(&["event-update"]), &stored(published(&text))))["data"].clone();
        prop_assert!(with_event_times(&mut told, &data));
        let mut given = data.clone();
        let given = given.as_object_mut().expect("an object");
        if let Some(attributes) = given.remove("attributes") {
            let plain = plain_attributes(&told["attributes"]).expect("attributes");
            let snake: Vec<&String> = plain.keys().collect();
            prop_assert_eq!(snake, attributes.as_object().expect("an object").keys().collect::<Vec<_>>());
            for (name, value) in &plain {
                prop_assert!(agrees(value, &attributes[name]), "{}", name);
            }
        }
        prop_assert!(agrees(&told, &Value::Object(given.clone())), "{} {}", told, data);
        let missing = |name: &str| data.get(name).is_none() && name != "id";
        for field in shape(Resource::Event).expect("a shape").fields.iter().filter(|field| missing(field.name)) {
            prop_assert_eq!(&told[&*camel_case(field.name)], &Value::Null, "{}", field.name);
        }
    }

    #[test]
    fn a_ticket_can_be_read_back_from_ingresse(data in data(Resource::Ticket)) {
        let text = json!({"type": "ticket.created", "subject": {"id": "7"}, "data": data});
        let told = body(&tell(&hooks(&["ticket"]), &stored(published(&text))))["data"].clone();
        prop_assert!(agrees(&told, &tellable(&data, false)), "{} {}", told, data);
    }

    #[test]
    fn an_order_can_be_read_back_from_ingresse(key in "[a-z]{1,5}(_[a-z]{1,5})?", value in "\\PC{0,9}") {
        let data = json!({"id": 5, (key): {"nested_thing": [value]}});
        let text = json!({"type": "order.created", "subject": {"id": "5"}, "data": data});
        let told = body(&tell(&hooks(&["sale"]), &stored(published(&text))))["data"].clone();
        prop_assert!(agrees(&told, &data));
        prop_assert_eq!(told.as_object().map(Map::len), data.as_object().map(Map::len));
    }

    #[test]
    fn a_sale_can_be_read_back_from_viagogo(data in data(Resource::Sale)) {
        let text = json!({"type": "sale.created", "subject": {"id": "7"}, "data": data, "action": "A"});
        let told = body(&tell(&all_topics(), &stored(published(&text))));
        let embedded = &told["_embedded"];
        let data = describable(&data);
        let given = |name: &str| data.get(name).cloned().unwrap_or_default();
        prop_assert!(contains(&told["barcodes"], &given("barcodes")));
        prop_assert!(contains(&embedded["seller_listing"], &given("seller_listing")));
        prop_assert!(contains(&embedded["event"], &given("event")));
        let mut venue = embedded["venue"].clone();
        if venue.is_object() && given("venue").get("country").is_some() {
            venue["country"] = embedded["venue"]["_embedded"]["country"].clone();
        }
        prop_assert!(contains(&venue, &given("venue")), "{} {}", venue, data);
        let mut sale = data.clone();
        sale.as_object_mut().expect("an object").retain(|name, _| {
            !["barcodes", "event", "venue", "seller_listing"].contains(&name.as_str())
        });
        sale.as_object_mut().expect("an object").entry("id").or_insert(json!(7));
        prop_assert!(contains(&embedded["sale"], &sale), "{} {}", embedded["sale"], sale);
        prop_assert_eq!(&told["action"], "A");
    }

    #[test]
    fn a_listing_can_be_read_back_from_viagogo(data in data(Resource::SellerListing)) {
        let text = json!({"type": "seller_listing.updated", "subject": {"id": "7"}, "data": data});
        let told = body(&tell(&all_topics(), &stored(published(&text))));
        let mut listing = describable(&data);
        let members = listing.as_object_mut().expect("an object");
        members.retain(|name, _| !["barcodes", "event", "venue"].contains(&name.as_str()));
        members.entry("id").or_insert(json!(7));
        prop_assert!(contains(&told["_embedded"]["seller_listing"], &listing));
        prop_assert!(told["_embedded"].get("sale").is_none());
        let seats = |barcodes: &Value| -> Vec<Value> {
            barcodes.as_array().into_iter().flatten().map(|barcode| barcode["seat"].clone()).collect()
        };
        prop_assert_eq!(seats(&told["barcodes"]), seats(&data["barcodes"]));
    }

    #[test]
    fn a_happening_can_be_read_back_from_openticket(
        data in data(Resource::Ticket), id in "\\PC{1,9}", actor in proptest::option::of("\\PC{1,9}"),
    ) {
        let text = json!({
            "type": "ticket.updated", "subject": {"id": id, "name": "n"}, "data": data, "changes": data,
            "actor": actor.as_ref().map(|actor| json!({"id": actor, "name": "N"})),
        });
        let told = body(&tell(&openticket("ticket", "update"), &stored(published(&text))));
        prop_assert_eq!(&told["change"], &json!({"props": data, "changes": data}));
        prop_assert_eq!(&told["model"], &json!({"guid": id, "type": "ticket", "name": "n"}));
        let user = actor.map_or((Value::Null, Value::Null), |actor| (actor.into(), "N".into()));
        prop_assert_eq!((told["meta"]["user_id"].clone(), told["meta"]["user_name"].clone()), user);
        prop_assert_eq!((&told["type"], &told["meta"]["company_id"]), (&json!("update"), &json!("halfmoon")));
    }
}
