//! What came of a change by hand to a delivery, as an answer.

use axum::http::StatusCode;
use callboard_domain::store::ByHand;

use super::problem::Problem;

/// 202, or why it can't be `action`.
pub fn answer(done: Option<ByHand>, action: &str) -> Result<StatusCode, Problem> {
    let conflict = |detail: String| Err(Problem::new(StatusCode::CONFLICT, detail));
    match done.ok_or_else(Problem::not_found)? {
        ByHand::Done(_) => Ok(StatusCode::ACCEPTED),
        ByHand::NotInState(state) => {
            conflict(format!("a delivery that is {} can't be {action}", state.as_str()))
        }
        ByHand::OnItsWay => {
            conflict("the delivery is on its way at this moment; look again in a little".to_owned())
        }
        ByHand::Exhausted => conflict("the delivery has had all the attempts that one can have".to_owned()),
    }
}
