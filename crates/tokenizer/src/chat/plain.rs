//! The conversation of a base model: a dialogue in plain words,
//! which it continues.

/// For [`ChatTemplate::plain`](super::ChatTemplate::plain).
pub(super) const TEMPLATE: &str = "\
{%- if tools %}{{ raise_exception('the model has no chat template, so it cannot be given tools') }}{% endif -%}
{{- bos_token -}}
{%- for message in messages -%}
    {%- if message.role == 'system' -%}
        {{- message.content | trim + '\\n\\n' -}}
    {%- elif message.role == 'assistant' -%}
        {{- 'Assistant: ' + message.content | trim + '\\n' -}}
    {%- else -%}
        {{- 'User: ' + message.content | trim + '\\n' -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt %}{{ 'Assistant:' }}{% endif -%}
";

/// What such a model writes when its answer is over: the next question.
pub(super) const STOP: &[&str] = &["\nUser:", "\nAssistant:"];
