//! What a table of the catalogue is made of.

/// A member of an object that the catalogue knows.
#[derive(Clone, Copy)]
pub struct Field {
    /// Its name, in `snake_case`.
    pub name: &'static str,
    /// What may stand there, null aside.
    pub kind: Kind,
    /// What it means, for people.
    pub doc: &'static str,
}

/// An object that the catalogue knows. It may hold itself, as a group of
/// tickets holds tickets.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Its name among the definitions of a schema.
    pub name: &'static str,
    /// What it is, for people.
    pub doc: &'static str,
    /// Its members, in the order of the documentation.
    pub fields: &'static [Field],
}

/// What may stand in a field.
#[derive(Clone, Copy)]
pub enum Kind {
    /// A number written without fraction and exponent: receivers read it into
    /// an integer, and many refuse `2.0` there.
    Integer,
    /// Any number; its digits are kept as they are written.
    Number,
    /// A string.
    Text,
    /// `true` or `false`.
    Boolean,
    /// A string that is an RFC 3339 time with an offset.
    Time,
    /// A platform's id: an integer on some, a string on others.
    Id,
    /// Anything.
    Any,
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// An object with these members, and others.
    Object(&'static Shape),
    /// An array of this.
    List(&'static Kind),
}

/// A row of a table.
pub(super) const fn field(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field { name, kind, doc }
}
