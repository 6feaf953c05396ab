"""What `transformers` makes of conversations with the chat templates that models are published with."""

import json
from pathlib import Path

import jinja2
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

FOLDER = Path(__file__).resolve().parent / "templates"

LLAMA = ("<s>", "</s>")
TOKENS = {
    "llama2": LLAMA,
    "llama3": ("<|begin_of_text|>", "<|eot_id|>"),
    "llama3_1": ("<|begin_of_text|>", "<|eot_id|>"),
    "mistral": LLAMA,
    "deepseek_llm": ("<\uff5cbegin\u2581of\u2581sentence\uff5c>", "<\uff5cend\u2581of\u2581sentence\uff5c>"),
    "deepseek_r1": ("<\uff5cbegin\u2581of\u2581sentence\uff5c>", "<\uff5cend\u2581of\u2581sentence\uff5c>"),
    "gemma": ("<bos>", "<eos>"),
    "gemma3": ("<bos>", "<eos>"),
    "gpt2_bloom": ("<|endoftext|>", "<|endoftext|>"),
}
USER = {"role": "user", "content": "  What is <b>2 & 2</b>, \"na\u00efvely\"?\n"}
ANSWER = {"role": "assistant", "content": "<think>\nadd\n</think>\n\nFour.\n"}
SYSTEM = {"role": "system", "content": "Be brief.\r\n\r\nAnd kind. "}
AGAIN = {"role": "user", "content": "And 3 \u00d7 3? \u6f22\U0001f980"}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "add",
            "description": "Adds <two> numbers & says \"so\"",
            "parameters": {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number", "default": 1.5}}, "required": ["a"]},
        },
    }
]
CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"type": "function", "function": {"name": "add", "arguments": {"a": 2, "b": [1, None, True, "\u00e9"]}}}],
}
RESULT = {"role": "tool", "content": "{\"sum\": 4}"}
CONVERSATIONS = {
    "one turn": {"messages": [USER]},
    "several turns": {"messages": [USER, ANSWER, AGAIN]},
    "system": {"messages": [SYSTEM, USER, ANSWER, AGAIN]},
    "no generation prompt": {"messages": [USER, ANSWER], "add_generation_prompt": False},
    "two users": {"messages": [USER, USER]},
    "no thinking": {"messages": [USER], "enable_thinking": False},
    "tools": {"messages": [SYSTEM, USER, CALL, RESULT, ANSWER, AGAIN], "tools": TOOLS},
}


def make_chats() -> None:
    cases = []
    for path in sorted(FOLDER.glob("*.jinja")):
        bos, eos = TOKENS.get(path.stem, ("", ""))
        tokens = {name: text for name, text in (("bos_token", bos), ("eos_token", eos)) if text}
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), **tokens)
        for about, conversation in CONVERSATIONS.items():
            if about == "tools" and path.stem not in ("llama3_1", "qwen2_5", "qwen3"):
                continue
            settings = {"add_generation_prompt": True} | conversation
            # Templates that ask for the date are told one.
            settings |= {"date_string": "21 Nov 2024"}
            case = {"template": path.stem, "about": about, "tokens": tokens, "input": settings}
            messages = settings["messages"]
            others = {name: value for name, value in settings.items() if name != "messages"}
            try:
                case["rendered"] = tokenizer.apply_chat_template(
                    messages, chat_template=path.read_text(), tokenize=False, **others
                )
            except jinja2.exceptions.TemplateError as error:
                case["refused"] = str(error)
            cases.append(case)
    text = json.dumps(cases, indent=1, ensure_ascii=False)
    (FOLDER / "cases.json").write_text(text + "\n")
    print(f"{len(cases)} conversations, {sum('refused' in case for case in cases)} refused")
