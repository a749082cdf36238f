"""Names of span attributes and metrics, from OpenTelemetry's semantic conventions (HTTP, GenAI, errors)."""

from __future__ import annotations

ERROR_TYPE = "error.type"

HTTP_REQUEST_METHOD = "http.request.method"
HTTP_RESPONSE_STATUS_CODE = "http.response.status_code"
HTTP_ROUTE = "http.route"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
URL_PATH = "url.path"
URL_SCHEME = "url.scheme"

GEN_AI_AGENT_ID = "gen_ai.agent.id"
GEN_AI_AGENT_NAME = "gen_ai.agent.name"
GEN_AI_AGENT_VERSION = "gen_ai.agent.version"
GEN_AI_CONVERSATION_ID = "gen_ai.conversation.id"
GEN_AI_EMBEDDINGS_DIMENSION_COUNT = "gen_ai.embeddings.dimension.count"
GEN_AI_INPUT_MESSAGES = "gen_ai.input.messages"
GEN_AI_OPERATION_NAME = "gen_ai.operation.name"
GEN_AI_OUTPUT_MESSAGES = "gen_ai.output.messages"
GEN_AI_OUTPUT_TYPE = "gen_ai.output.type"
GEN_AI_PROVIDER_NAME = "gen_ai.provider.name"
GEN_AI_REQUEST_CHOICE_COUNT = "gen_ai.request.choice.count"
GEN_AI_REQUEST_FREQUENCY_PENALTY = "gen_ai.request.frequency_penalty"
GEN_AI_REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
GEN_AI_REQUEST_MODEL = "gen_ai.request.model"
GEN_AI_REQUEST_PRESENCE_PENALTY = "gen_ai.request.presence_penalty"
GEN_AI_REQUEST_SEED = "gen_ai.request.seed"
GEN_AI_REQUEST_STOP_SEQUENCES = "gen_ai.request.stop_sequences"
GEN_AI_REQUEST_STREAM = "gen_ai.request.stream"
GEN_AI_REQUEST_TEMPERATURE = "gen_ai.request.temperature"
GEN_AI_REQUEST_TOP_K = "gen_ai.request.top_k"
GEN_AI_REQUEST_TOP_P = "gen_ai.request.top_p"
GEN_AI_RESPONSE_FINISH_REASONS = "gen_ai.response.finish_reasons"
GEN_AI_RESPONSE_ID = "gen_ai.response.id"
GEN_AI_RESPONSE_MODEL = "gen_ai.response.model"
GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
GEN_AI_RETRIEVAL_DOCUMENTS = "gen_ai.retrieval.documents"
GEN_AI_SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
GEN_AI_TOKEN_MODALITY = "gen_ai.token.modality"  # noqa: S105
GEN_AI_TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105
GEN_AI_TOOL_CALL_ARGUMENTS = "gen_ai.tool.call.arguments"
GEN_AI_TOOL_CALL_ID = "gen_ai.tool.call.id"
GEN_AI_TOOL_CALL_RESULT = "gen_ai.tool.call.result"
GEN_AI_TOOL_DEFINITIONS = "gen_ai.tool.definitions"
GEN_AI_TOOL_NAME = "gen_ai.tool.name"
GEN_AI_TOOL_TYPE = "gen_ai.tool.type"
GEN_AI_USAGE_INPUT_TOKENS = "gen_ai.usage.input_tokens"
GEN_AI_USAGE_OUTPUT_TOKENS = "gen_ai.usage.output_tokens"

UNKNOWN = "unknown"
"""A value of `gen_ai.token.modality`: model servers do not report separate counts for texts and images."""

RETRIEVED_COUNT = "replaystack.retrieval.passages"
"""Not part of the conventions: how many passages a search returned."""

ROOT = "__root__"
"""True on the span of a request, and on any other span that starts a trace: existing users filter by it."""

CHAT = "chat"
EMBEDDINGS = "embeddings"
RERANK = "rerank"
RETRIEVAL = "retrieval"
TEXT_COMPLETION = "text_completion"
EXECUTE_TOOL = "execute_tool"
INVOKE_AGENT = "invoke_agent"
"""Values of `gen_ai.operation.name`; a span is named `<operation> <model, agent or tool>`."""

SHIELD_CALL = "shield_call"
"""The name of the span of a shield's check, followed by its id: the conventions have none for it."""
SHIELD_ID = "shield.id"
SHIELD_KIND = "shield.kind"
SHIELD_TOUCHPOINT = "shield.touchpoint"
SHIELD_VIOLATION_LEVEL = "shield.violation.level"
SHIELD_VIOLATION_TYPE = "shield.violation.type"

GEN_AI_CLIENT_INFERENCE_DURATION = "gen_ai.client.inference.duration"
GEN_AI_CLIENT_INFERENCE_TIME_TO_FIRST_CHUNK = "gen_ai.client.inference.time_to_first_chunk"
GEN_AI_CLIENT_INFERENCE_USAGE_INPUT_TOKENS = "gen_ai.client.inference.usage.input_tokens"
GEN_AI_CLIENT_INFERENCE_USAGE_OUTPUT_TOKENS = "gen_ai.client.inference.usage.output_tokens"
GEN_AI_CLIENT_INFERENCE_OPERATION_INPUT_TOKENS = "gen_ai.client.inference.operation.input_tokens"
GEN_AI_CLIENT_INFERENCE_OPERATION_OUTPUT_TOKENS = "gen_ai.client.inference.operation.output_tokens"
GEN_AI_INVOKE_AGENT_DURATION = "gen_ai.invoke_agent.duration"
GEN_AI_INVOKE_AGENT_INFERENCE_CALLS = "gen_ai.invoke_agent.inference_calls"
GEN_AI_INVOKE_AGENT_TOOL_CALLS = "gen_ai.invoke_agent.tool_calls"
GEN_AI_EXECUTE_TOOL_DURATION = "gen_ai.execute_tool.duration"
"""Names of metrics in version 0.1.0 of the GenAI conventions."""

GEN_AI_CLIENT_OPERATION_DURATION = "gen_ai.client.operation.duration"
GEN_AI_CLIENT_TOKEN_USAGE = "gen_ai.client.token.usage"  # noqa: S105
"""Earlier names of these metrics, in the general semantic conventions up to version 1.41."""

PROMPT_TOKENS = "prompt_tokens"
COMPLETION_TOKENS = "completion_tokens"
TOTAL_TOKENS = "total_tokens"
"""Sums that existing users query, with the labels `model_id` and `provider_id`."""
MODEL_ID = "model_id"
PROVIDER_ID = "provider_id"

INPUT_TOKENS = (
    GEN_AI_CLIENT_INFERENCE_USAGE_INPUT_TOKENS,
    GEN_AI_CLIENT_INFERENCE_OPERATION_INPUT_TOKENS,
    PROMPT_TOKENS,
)
OUTPUT_TOKENS = (
    GEN_AI_CLIENT_INFERENCE_USAGE_OUTPUT_TOKENS,
    GEN_AI_CLIENT_INFERENCE_OPERATION_OUTPUT_TOKENS,
    COMPLETION_TOKENS,
)
"""The names of one kind of tokens: the sum, the histogram, and the reference server's sum."""

DURATION_BOUNDARIES_S = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
)  # fmt: skip
INVOCATION_BOUNDARIES_S = (
    0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6,
)  # fmt: skip
TOKEN_BOUNDARIES = (
    1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864,
)  # fmt: skip
CALL_BOUNDARIES = (0, 1, 2, 4, 8, 16, 32, 64)

TRAINING_EPOCH = "replaystack.training.epoch"
TRAINING_LOSS = "replaystack.training.loss"
TRAINING_VALIDATION_LOSS = "replaystack.training.validation_loss"
TRAINING_ALGORITHM = "replaystack.training.algorithm"
TRAINING_STEPS = "replaystack.training.steps"
TRAINING_TOKENS = "replaystack.training.tokens"
TRAINING_STEP_DURATION = "replaystack.training.step.duration"
"""Not part of the conventions, which have no names for training."""

COUNTERS = (
    (GEN_AI_CLIENT_INFERENCE_USAGE_INPUT_TOKENS, "{token}", "Input tokens of model calls."),
    (GEN_AI_CLIENT_INFERENCE_USAGE_OUTPUT_TOKENS, "{token}", "Output tokens of model calls."),
    (PROMPT_TOKENS, "tokens", "Input tokens of model calls."),
    (COMPLETION_TOKENS, "tokens", "Output tokens of model calls."),
    (TOTAL_TOKENS, "tokens", "Input and output tokens of model calls."),
    (TRAINING_STEPS, "{step}", "Steps of training jobs."),
    (TRAINING_TOKENS, "{token}", "Trained tokens."),
)
"""Name, unit and description."""
HISTOGRAMS = (
    (TRAINING_STEP_DURATION, "s", DURATION_BOUNDARIES_S, "Duration of steps of training jobs."),
    (GEN_AI_CLIENT_INFERENCE_DURATION, "s", DURATION_BOUNDARIES_S, "Duration of model calls."),
    (
        GEN_AI_CLIENT_INFERENCE_TIME_TO_FIRST_CHUNK,
        "s",
        DURATION_BOUNDARIES_S,
        "Time to the first chunk of streamed model calls.",
    ),
    (
        GEN_AI_CLIENT_INFERENCE_OPERATION_INPUT_TOKENS,
        "{token}",
        TOKEN_BOUNDARIES,
        "Input tokens per model call.",
    ),
    (
        GEN_AI_CLIENT_INFERENCE_OPERATION_OUTPUT_TOKENS,
        "{token}",
        TOKEN_BOUNDARIES,
        "Output tokens per model call.",
    ),
    (GEN_AI_INVOKE_AGENT_DURATION, "s", INVOCATION_BOUNDARIES_S, "Duration of agent invocations."),
    (
        GEN_AI_INVOKE_AGENT_INFERENCE_CALLS,
        "{inference_call}",
        CALL_BOUNDARIES,
        "Model calls per agent invocation.",
    ),
    (GEN_AI_INVOKE_AGENT_TOOL_CALLS, "{tool_call}", CALL_BOUNDARIES, "Tool calls per agent invocation."),
    (
        GEN_AI_EXECUTE_TOOL_DURATION,
        "s",
        DURATION_BOUNDARIES_S,
        "Time from handing out a tool call to its result.",
    ),
)
"""Name, unit, bucket boundaries and description."""
GAUGES = ((TRAINING_LOSS, "1", "Loss of the last step of a training job."),)
EARLIER_HISTOGRAMS = (
    (GEN_AI_CLIENT_OPERATION_DURATION, "s", DURATION_BOUNDARIES_S, "Duration of model calls."),
    (GEN_AI_CLIENT_TOKEN_USAGE, "{token}", TOKEN_BOUNDARIES, "Tokens per model call."),
)
