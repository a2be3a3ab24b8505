use crate::api::State;
use axum::Router;
pub(super) fn routes() -> Router<State> {
    Router::new()
}
/// The address at which a page hears what changes on it.
pub(super) fn address(base: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    format!("{base}/live?{}", query.finish())
}
