//! Values that messages refer to by name, with the bounds of this server.

use serde_json::Value;
use utoipa::openapi::schema::{AdditionalProperties, Array, Object, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{ArrayBuilder, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::Bounds;

/// A string with anything but blank space in it.
const NOT_BLANK: &str = r"\S";

/// A string with one `{}` in it.
const ONE_PLACE: &str = r"^[^{}]*\{\}[^{}]*$";

/// Types that stand for a name in the document alone; [`bounded`] says what they are.
macro_rules! named {
    ($($name:ident),*) => {
        $(
            /// A name in the document.
            pub(in crate::rest) struct $name;

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    Object::new().into()
                }
            }

            impl ToSchema for $name {}
        )*
    };
}

named!(Inputs, Text, TextList, TextOrTexts, TokenRows, DeploymentName, PromptName, Dimensions, TruncationDirection);
named!(ClassificationInputs, Labels, Template, ClassifierName, AtLeastOne, PredictInputs, Never);

/// What each name is.
pub(super) fn bounded(bounds: &Bounds) -> Vec<(String, RefOr<Schema>)> {
    let inputs = OneOfBuilder::new()
        .item(text(bounds))
        .item(list(text(bounds), bounds))
        .item(ids(bounds))
        .item(list(ids(bounds), bounds))
        .description(Some(
            "A text, a list of texts, the token ids of a text with special tokens in place, or a list of those.",
        ))
        .build();
    let text_or_texts = OneOfBuilder::new().item(any_text(bounds)).item(list(any_text(bounds), bounds)).build();
    let rows = OneOfBuilder::new().item(ids(bounds)).item(list(ids(bounds), bounds)).build();
    // The query takes the place of one.
    let fewer = Bounds { texts: bounds.texts.saturating_sub(1), ..bounds.clone() };
    let mut entries = classification(bounds);
    entries.extend([
        entry::<Inputs>(inputs),
        entry::<Text>(text(bounds)),
        entry::<TextList>(list(text(bounds), &fewer)),
        entry::<TextOrTexts>(text_or_texts),
        entry::<TokenRows>(rows),
        entry::<DeploymentName>(deployment(&bounds.deployments)),
        entry::<PromptName>(one_of(std::iter::once("").chain(bounds.prompts.iter().map(String::as_str)))),
        entry::<Dimensions>(dimensions(bounds)),
        entry::<TruncationDirection>(one_of(["Right", "right"])),
    ]);
    entries
}

/// What only classification has.
fn classification(bounds: &Bounds) -> Vec<(String, RefOr<Schema>)> {
    let input = || {
        let file = ObjectBuilder::new().schema_type(Type::String).max_length(Some(base64_chars(bounds.image_bytes)));
        let file = file.description(Some("A JPEG or PNG file in base64, or a `data:` address of one."));
        OneOfBuilder::new()
            .item(text(bounds))
            .item(only("text", text(bounds)))
            .item(only("image", file.build()))
            .build()
    };
    let inputs = OneOfBuilder::new().item(Schema::from(input())).item(list(input(), bounds)).build();
    let part_of_label = || ObjectBuilder::new().schema_type(Type::String).max_length(Some(bounds.label_bytes));
    let label = || part_of_label().min_length(Some(1)).pattern(Some(NOT_BLANK)).build();
    let described = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("label", label())
        .required("label")
        .property("description", Schema::from(OneOfBuilder::new().item(part_of_label()).item(null()).build()))
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .build();
    let labels = OneOfBuilder::new().item(label()).item(described).build();
    let labels = ArrayBuilder::new().items(RefOr::T(Schema::from(labels))).max_items(Some(bounds.labels)).build();
    let one = || ArrayBuilder::new().items(RefOr::T(text(bounds).into())).min_items(Some(1)).max_items(Some(1)).build();
    let predict = OneOfBuilder::new().item(text(bounds)).item(one()).item(list(one(), bounds)).build();
    vec![
        entry::<ClassificationInputs>(inputs),
        entry::<Labels>(labels),
        entry::<Template>(part_of_label().pattern(Some(ONE_PLACE)).build()),
        entry::<ClassifierName>(deployment(&bounds.classifiers)),
        entry::<AtLeastOne>(
            ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(u32::MAX)).build(),
        ),
        entry::<PredictInputs>(predict),
        entry::<Never>(ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([Value::Bool(false)])).build()),
    ]
}

fn entry<T: ToSchema>(schema: impl Into<Schema>) -> (String, RefOr<Schema>) {
    (T::name().into_owned(), RefOr::T(schema.into()))
}

/// A string of at least one character and not only of blank space.
fn text(bounds: &Bounds) -> Object {
    ObjectBuilder::from(any_text(bounds)).min_length(Some(1)).pattern(Some(NOT_BLANK)).build()
}

/// A string; its bound counts bytes, of which there are no fewer than characters.
fn any_text(bounds: &Bounds) -> Object {
    ObjectBuilder::new().schema_type(Type::String).max_length(Some(bounds.text_bytes)).build()
}

/// An object of this field alone.
fn only(field: &str, value: Object) -> Object {
    let object = ObjectBuilder::new().schema_type(Type::Object).property(field, value).required(field);
    object.additional_properties(Some(AdditionalProperties::FreeForm(false))).build()
}

/// The name of one of these, or of none that is there.
fn deployment(names: &[String]) -> Object {
    match names {
        [] => ObjectBuilder::new().schema_type(Type::String).build(),
        names => one_of(names.iter().map(String::as_str)),
    }
}

fn null() -> Object {
    ObjectBuilder::new().schema_type(Type::Null).build()
}

/// How many characters so many bytes take in base64.
fn base64_chars(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

fn ids(bounds: &Bounds) -> Array {
    let id = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(0))
        .maximum(Some(bounds.vocabulary.map_or(u32::MAX, |vocabulary| vocabulary.saturating_sub(1))))
        .build();
    let most = bounds.text_bytes / size_of::<u32>();
    ArrayBuilder::new().items(RefOr::T(Schema::from(id))).min_items(Some(1)).max_items(Some(most)).build()
}

fn list(item: impl Into<Schema>, bounds: &Bounds) -> Array {
    ArrayBuilder::new().items(RefOr::T(item.into())).min_items(Some(1)).max_items(Some(bounds.texts)).build()
}

pub(super) fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> Object {
    let values = names.into_iter().map(|name| Value::String(name.to_owned()));
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(values)).build()
}

fn dimensions(bounds: &Bounds) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(bounds.dimensions.unwrap_or(u32::MAX)))
        .build()
}
