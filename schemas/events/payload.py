"""Types of the fields of stored events. They are separate from the API types.

Stored data is read by releases older and newer than the one that wrote it. Unknown fields are ignored at
every depth. Discriminators (`type`, `role`) and all enumerated values are plain text here, so that a kind or
value of a newer release does not make the whole event unreadable; a reader skips a kind that it does not
know.

Fields are stored in the order in which they are declared.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field


class URL(Struct, frozen=True):
    """A reference to external content."""

    uri: str


class ImageSource(Struct, frozen=True, omit_defaults=True):
    """The source of an image: `url`, or `data` as base64 text."""

    url: URL | None = None
    data: str | None = None


class ContentItem(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`type` is text (with `text`) or image (with `image`)."""

    type: str
    text: str | None = None
    image: ImageSource | None = None


Content = str | ContentItem | list[ContentItem]


class InputMessage(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`role` is user (optionally with `context`) or tool (with `call_id`)."""

    role: str
    call_id: str | None = None
    content: Content
    context: Content | None = None


class ToolCall(Struct, frozen=True):
    """A tool call made by the model. `arguments` is JSON text exactly as the model wrote it."""

    call_id: str
    tool_name: str
    arguments: str


class ToolResponse(Struct, frozen=True, omit_defaults=True):
    call_id: str
    tool_name: str
    content: Content
    metadata: dict[str, Any] | None = None


class CompletionMessage(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A model's answer. `stop_reason` is end_of_turn, end_of_message or out_of_tokens; `tool_calls` is None
    if the model made no calls."""

    # A factory, because fields equal to a default are not stored.
    role: str = field(default_factory=lambda: "assistant")
    content: Content
    stop_reason: str
    tool_calls: list[ToolCall] | None = None


class Document(Struct, frozen=True):
    """A document given to a turn. `content` is text, content items, or a URL object."""

    content: Any
    mime_type: str
    document_id: str | None = None
    metadata: dict[str, Any] | None = None


class TurnUsage(Struct, frozen=True, omit_defaults=True):
    """Tokens as the models reported them. A count that no model reported is None. `cached_tokens` are those of
    `input_tokens` that the model's server read from a cache."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None

    def plus(self, more: TurnUsage) -> TurnUsage:
        """Returns the sums of the counts that are known."""
        return TurnUsage(
            _sum(self.input_tokens, more.input_tokens),
            _sum(self.output_tokens, more.output_tokens),
            _sum(self.cached_tokens, more.cached_tokens),
        )


def _sum(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other


class TurnError(Struct, frozen=True):
    """Why a turn, a row or a job failed, in the words of the error response to the caller."""

    status: int
    title: str
    detail: str


class Violation(Struct, frozen=True, omit_defaults=True):
    """The objection of a shield. `level` is info, warn or error; an error ends the turn with `user_message`."""

    level: str
    user_message: str = ""
    metadata: dict[str, Any] | None = None


class SamplingStrategy(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`type` is greedy, top_p (with `temperature` and `top_p`) or top_k (with `top_k`)."""

    type: str
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None


class SamplingParams(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`max_tokens` is a number of tokens, 0 means no limit."""

    strategy: SamplingStrategy | None = None
    max_tokens: int | None = None
    repetition_penalty: float | None = None
    stop: list[str] | None = None


class ResponseFormat(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`type` is json_schema (with `json_schema`) or grammar (with `bnf`)."""

    type: str
    json_schema: dict[str, Any] | None = None
    bnf: dict[str, Any] | None = None


class AgentToolGroup(Struct, frozen=True):
    name: str
    args: dict[str, Any]


AgentTool = str | AgentToolGroup


class ToolConfig(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How the model uses tools. `tool_choice` is auto, required, none, or the name of one tool."""

    tool_choice: str | None = None
    tool_prompt_format: str | None = None
    system_message_behavior: str | None = None


class ToolDef(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A tool that the client runs."""

    name: str
    toolgroup_id: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    tool_prompt_format: str | None = None


class AgentConfig(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Configuration of an agent. `max_infer_iters` limits the number of inferences in one turn."""

    model: str
    instructions: str
    name: str | None = None
    sampling_params: SamplingParams | None = None
    input_shields: list[str] | None = None
    output_shields: list[str] | None = None
    toolgroups: list[AgentTool] | None = None
    client_tools: list[ToolDef] | None = None
    tool_choice: str | None = None
    tool_prompt_format: str | None = None
    tool_config: ToolConfig | None = None
    max_infer_iters: int | None = None
    enable_session_persistence: bool | None = None
    response_format: ResponseFormat | None = None


class SystemMessage(Struct, frozen=True, omit_defaults=True, kw_only=True):
    role: str = field(default_factory=lambda: "system")
    content: Content


class EvalCandidate(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`type` is model (with `model` and `sampling_params`, optionally `system_message`) or agent (with
    `config`)."""

    type: str
    model: str | None = None
    sampling_params: SamplingParams | None = None
    system_message: SystemMessage | None = None
    config: AgentConfig | None = None


class ScoringParams(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Parameters of a scoring function. `type` is llm_as_judge (with `judge_model`, `prompt_template` and
    `judge_score_regexes`), regex_parser (with `parsing_regexes`) or basic."""

    type: str
    judge_model: str | None = None
    prompt_template: str | None = None
    judge_score_regexes: list[str] | None = None
    parsing_regexes: list[str] | None = None
    aggregation_functions: list[str] | None = None
    keep_reasoning: bool = False


class BenchmarkConfig(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How a benchmark is run. `scoring_params` maps scoring functions to parameters; `num_examples` limits
    the rows."""

    eval_candidate: EvalCandidate
    scoring_params: dict[str, ScoringParams] | None = None
    num_examples: int | None = None


class TrainingData(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`batch_size` is the number of samples per batch. `data_format` is instruct or dialog (ignored by
    preference optimisation). `packed` puts several samples into one sequence."""

    dataset_id: str
    batch_size: int
    shuffle: bool
    data_format: str
    validation_dataset_id: str = ""
    packed: bool = False
    train_on_input: bool = False


class Optimizer(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`optimizer_type` is adam, adamw or sgd."""

    optimizer_type: str
    lr: float
    weight_decay: float
    num_warmup_steps: int


class TrainingConfig(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The normalised configuration of a job. A step consists of `gradient_accumulation_steps` batches; an
    epoch ends after `max_steps_per_epoch` steps or at the end of the data. `max_validation_steps` limits the
    batches of one validation. `dtype` is bf16 or fp32, on an accelerator also fp16."""

    n_epochs: int
    max_steps_per_epoch: int
    gradient_accumulation_steps: int
    max_validation_steps: int
    data: TrainingData
    optimizer: Optimizer
    dtype: str
    activation_checkpointing: bool = False
    activation_offloading: bool = False


class TrainingAlgorithm(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`type` is full, LoRA (with the fields from `lora_attn_modules` to `quantize_base`), QAT (with
    `quantizer_name` and `group_size`) or DPO (with `beta` and `loss_type`: sigmoid, hinge, ipo or
    kto_pair)."""

    type: str
    lora_attn_modules: list[str] = []
    apply_lora_to_mlp: bool = False
    apply_lora_to_output: bool = False
    rank: int = 0
    alpha: int = 0
    use_dora: bool = False
    quantize_base: bool = False
    quantizer_name: str = ""
    group_size: int = 0
    beta: float = 0.0
    loss_type: str = ""
