//! Bodies that were rendered once an event, with a gap for what differs.

use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;

use super::{Message, Unrenderable};

/// A body with one gap.
#[derive(Debug)]
pub(super) struct Template {
    text: Vec<u8>,
    gap: usize,
}

impl Template {
    /// A body that is `text` with a gap after its first `gap` bytes.
    pub(super) fn new(mut text: Vec<u8>, gap: usize) -> Self {
        // It may be kept as long as the event waits anywhere.
        text.shrink_to_fit();
        Self { text, gap }
    }

    /// The body with `filling` in its gap.
    pub(super) fn fill(&self, filling: &[u8]) -> Bytes {
        let (head, tail) = self.text.split_at(self.gap.min(self.text.len()));
        [head, filling, tail].concat().into()
    }
}

/// The forms that one event can be rendered in, besides the native one.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    Ingresse,
    /// A paid or updated order is two things to Ingresse's receivers.
    IngressePostback,
    Viagogo,
    OpenTicket,
}

const FORMS: usize = 4;

type Rendered = OnceLock<Result<Template, Unrenderable>>;

/// What is known of an event beyond its native form.
#[derive(Default)]
struct Known {
    forms: [Rendered; FORMS],
    tells_status: OnceLock<bool>,
}

/// What was rendered of an event so far. It belongs to the event in memory and
/// goes with it; a copy starts empty. Nothing is allocated for an event that
/// only native webhooks hear.
#[derive(Default)]
pub struct Renderings(OnceLock<Box<Known>>);

impl Renderings {
    /// The event in `form`, filled with `filling`; rendered by `render` the
    /// first time.
    pub(super) fn tell(
        &self,
        form: Form,
        filling: &[u8],
        render: impl FnOnce() -> Result<Template, Unrenderable>,
    ) -> Result<Message, Unrenderable> {
        let known = self.0.get_or_init(Box::default);
        let template = known.forms[form as usize].get_or_init(render).as_ref().map_err(Clone::clone)?;
        Ok(Message::plain(template.fill(filling)))
    }

    /// Whether the event says how its order stands; looked up by `look` the
    /// first time.
    pub(super) fn tells_status(&self, look: impl FnOnce() -> bool) -> bool {
        *self.0.get_or_init(Box::default).tells_status.get_or_init(look)
    }
}

impl Clone for Renderings {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Renderings {
    /// What was rendered follows from the event, so it tells no two apart.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Renderings {}

impl fmt::Debug for Renderings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renderings")
    }
}
