//! Where sources stand in a request.

use inference::tokenizer::Message;

use crate::api::request::Prompt;

/// What rows are looked for by: the last message of a user, or the text.
pub fn question(prompt: &Prompt) -> &str {
    match prompt {
        Prompt::Chat(messages) => asked(messages).map_or("", |at| &messages[at].content),
        Prompt::Text(text) => text,
    }
}

/// The request with sources before its question: as part of the same message, because not every
/// model's template has room for another.
pub fn with_sources(prompt: &Prompt, sources: &str) -> Prompt {
    let before = |text: &str| format!("{sources}\n\n{text}");
    match prompt {
        Prompt::Chat(messages) => {
            let mut messages = messages.clone();
            if let Some(at) = asked(&messages) {
                messages[at].content = before(&messages[at].content);
            }
            Prompt::Chat(messages)
        }
        Prompt::Text(text) => Prompt::Text(before(text)),
    }
}

/// The message with the question: the last of a user, or else the last.
fn asked(messages: &[Message]) -> Option<usize> {
    let user = messages.iter().rposition(|message| message.role == "user");
    user.or(messages.len().checked_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(role: &str, content: &str) -> Message {
        Message { role: role.into(), content: content.into() }
    }

    #[test]
    fn sources_stand_before_the_last_question() {
        let prompt = Prompt::Chat(vec![
            message("system", "be brief"),
            message("user", "a?"),
            message("assistant", "b"),
            message("user", "c?"),
            message("assistant", "d"),
        ]);
        assert_eq!(question(&prompt), "c?");
        let Prompt::Chat(messages) = with_sources(&prompt, "[1] x") else { panic!() };
        assert_eq!(messages[3], message("user", "[1] x\n\nc?"));
        assert_eq!(messages[1], message("user", "a?"));

        let prompt = Prompt::Text("t".into());
        assert_eq!(question(&prompt), "t");
        assert_eq!(with_sources(&prompt, "s"), Prompt::Text("s\n\nt".into()));
    }
}
