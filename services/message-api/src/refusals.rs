//! Some of a run are refused before the rest is asked for together: each answer comes in its place.

use chat_core::{ChatError, Result};

/// What was refused beforehand, and where it stood, in order.
pub(crate) struct Refusals(Vec<(usize, ChatError)>);

impl Refusals {
    /// Parts what can go on from what can't.
    pub(crate) fn part<T>(run: impl Iterator<Item = Result<T>>) -> (Vec<T>, Self) {
        let (mut rest, mut refusals) = (Vec::with_capacity(run.size_hint().0), Vec::new());
        for (place, one) in run.enumerate() {
            match one {
                Ok(one) => rest.push(one),
                Err(refusal) => refusals.push((place, refusal)),
            }
        }
        (rest, Self(refusals))
    }

    /// Puts them among the answers to the rest.
    pub(crate) fn among<T>(self, mut answers: Vec<Result<T>>) -> Vec<Result<T>> {
        for (place, refusal) in self.0 {
            answers.insert(place, Err(refusal));
        }
        answers
    }
}

#[cfg(test)]
mod tests {
    use chat_core::Code;

    use super::*;

    #[test]
    fn each_answer_comes_in_its_place() {
        let refusal = || ChatError::new(Code::Empty, "no text");
        let run = [Err(refusal()), Ok(1), Err(refusal()), Err(refusal()), Ok(4)];
        let (rest, refusals) = Refusals::part(run.into_iter());
        assert_eq!(rest, [1, 4]);
        let answers = refusals.among(rest.into_iter().map(|n| Ok(n * 10)).collect());
        let expected = [Err(refusal()), Ok(10), Err(refusal()), Err(refusal()), Ok(40)];
        assert_eq!(answers, expected);
    }
}
