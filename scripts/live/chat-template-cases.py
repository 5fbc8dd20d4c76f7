"""What transformers makes of some chat templates, for src/live/chat_template/tests.rs.

Usage: PYTHON_OF_VLLM scripts/live/chat-template-cases.py > src/live/chat_template/cases.json
(needs transformers and jinja2: ~/.cache/kvroute-peers/vllm/bin/python has both)
"""
import json

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

SPECIALS = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|eot|>", "<think>"]

CHATS = {
    "one": [("user", "Hello world")],
    "turns": [("system", " Be brief. "), ("user", "What the?"), ("assistant", "<think>\nhm\n</think>\n\nThis."),
              ("user", "  \u4e16\u754c \"<b>\" & 'c'\n")],
    "special": [("user", "a<|im_end|>b</s>")],
}

TEMPLATES = {
    "chatml": "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
              "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    "headers": "{{- bos_token }}\n{%- if messages[0]['role'] == 'system' %}\n    {%- set system = messages[0]['content']|trim %}\n"
               "    {%- set messages = messages[1:] %}\n{%- else %}\n    {%- set system = \"\" %}\n{%- endif %}\n"
               "{%- if system != \"\" %}{{ \"[system]\\n\\n\" + system + \"<|eot|>\" }}{% endif %}\n"
               "{%- for message in messages %}\n    {%- if not (message.role == 'tool' or 'tool_calls' in message) %}\n"
               "        {{- '[' + message['role'] + ']\\n\\n' + message['content'] | trim + '<|eot|>' }}\n    {%- endif %}\n"
               "{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '[assistant]\\n\\n' }}\n{%- endif %}\n",
    "thinking": "{%- set ns = namespace(multi_step=true, last=messages|length - 1) %}\n{%- for message in messages[::-1] %}\n"
                "    {%- set index = (messages|length - 1) - loop.index0 %}\n"
                "    {%- if ns.multi_step and message.role == 'user' and message.content is string and not"
                "(message.content.startswith('<tool>') and message.content.endswith('</tool>')) %}\n"
                "        {%- set ns.multi_step = false %}\n        {%- set ns.last = index %}\n    {%- endif %}\n{%- endfor %}\n"
                "{%- for message in messages %}\n    {%- if message.role == 'assistant' %}\n        {%- set content = message.content %}\n"
                "        {%- if '</think>' in content %}\n            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}\n        {%- endif %}\n"
                "        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}\n    {%- else %}\n"
                "        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}\n    {%- endif %}\n{%- endfor %}\n"
                "{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n"
                "    {%- if enable_thinking is defined and enable_thinking is false %}\n        {{- '<think>\\n\\n</think>\\n\\n' }}\n    {%- endif %}\n{%- endif %}",
    "instructions": "{%- if messages[0][\"role\"] == \"system\" %}{%- set system = messages[0][\"content\"] %}{%- set rest = messages[1:] %}"
                    "{%- else %}{%- set rest = messages %}{%- endif %}{{ bos_token }}{% for m in rest %}"
                    "{%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{%- endif %}"
                    "{%- if m['role'] == 'user' %}{%- if loop.last and system is defined %}{{ '[INST] ' + system + '\\n\\n' + m['content'] + ' [/INST]' }}"
                    "{%- else %}{{ '[INST] ' ~ m['content'].strip() ~ ' [/INST]' }}{%- endif %}{%- else %}{{ ' ' + m.content|trim + eos_token }}{%- endif %}{% endfor %}",
    "blocks": "{# whitespace is that of trim_blocks and lstrip_blocks #}\n{%- macro part(m, n) -%}\n  <{{ n }}> {{ m|tojson }} {{ m.role.upper() }}\n{% endmacro %}\n"
              "{% set names = {'user': 'U', 'system': 'S'} %}\n{% for m in messages %}\n  {% if loop.index > 3 %}\n    {% break %}\n  {% endif %}\n"
              "  {% generation %}\n  {{ part(m, names.get(m.role, 'A')) }}\n  {%- endgeneration %}\n"
              "  {{ loop.previtem.role if loop.previtem is defined else 'none before' }}{% if not loop.last %},{% endif %}\n\n{% endfor %}\n"
              "{% for key, value in names.items() %}\n{{ key }}={{ value }};\n{% endfor %}\n"
              "{{ messages|selectattr('role', 'equalto', 'user')|map(attribute='content')|list|length }} {{ unk_token }}|{{ nothing }}\n",
}


def tokenizer():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("\u0120", "t"), ("h", "e"), ("\u0120t", "he"), ("l", "l")]
    words = alphabet + [a + b for a, b in merges]
    model = Tokenizer(models.BPE(vocab={word: at for at, word in enumerate(words)}, merges=merges))
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    model.add_special_tokens([AddedToken(text, special=True) for text in SPECIALS])
    bos = ("<s>", model.token_to_id("<s>"))
    model.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[bos])
    return model


model = tokenizer()
fast = PreTrainedTokenizerFast(tokenizer_object=model, bos_token="<s>", eos_token="</s>")
cases = []
for name, template in TEMPLATES.items():
    for chat, messages in CHATS.items():
        messages = [{"role": role, "content": text} for role, text in messages]
        options = dict(chat_template=template, add_generation_prompt=True)
        text = fast.apply_chat_template(messages, tokenize=False, **options)
        ids = fast.apply_chat_template(messages, tokenize=True, return_dict=False, **options)
        cases.append({"template": name, "chat": chat, "text": text, "ids": ids})
print(json.dumps({
    "made_by": "scripts/live/chat-template-cases.py",
    "tokenizer": json.loads(model.to_str()),
    "completion": {"text": "the </s>", "ids": fast("the </s>")["input_ids"]},
    "templates": TEMPLATES,
    "chats": CHATS,
    "cases": cases,
}, ensure_ascii=False, separators=(",", ":")))
