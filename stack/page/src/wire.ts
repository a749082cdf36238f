// The schemas of the API. Written by `python -m tests.page.wire_types`; do not change it by hand.

export type Agent = {
  agent_id: string;
  agent_config: AgentConfig;
  created_at: string;
};

export type AgentCandidate = {
  type: "agent";
  config: AgentConfig;
};

export type AgentConfig = {
  model: string;
  instructions: string;
  name?: string;
  sampling_params?: SamplingParams;
  input_shields?: Array<string>;
  output_shields?: Array<string>;
  toolgroups?: Array<AgentTool>;
  client_tools?: Array<ToolDef>;
  tool_choice?: "auto" | "none" | "required";
  tool_prompt_format?: "function_tag" | "json" | "python_list";
  tool_config?: ToolConfig;
  max_infer_iters?: number;
  enable_session_persistence?: boolean;
  response_format?: ResponseFormat;
};

export type AgentCreateResponse = {
  agent_id: string;
};

export type AgentSessionCreateResponse = {
  session_id: string;
};

export type AgentStepResponse = {
  step: InferenceStep | ToolExecutionStep | ShieldCallStep | MemoryRetrievalStep;
};

export type AgentTool = string | {
  name: string;
  args: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
};

export type AgentTurnResponseEvent = {
  payload: AgentTurnResponseTurnStartPayload | AgentTurnResponseStepStartPayload | AgentTurnResponseStepProgressPayload | AgentTurnResponseStepCompletePayload | AgentTurnResponseTurnCompletePayload | AgentTurnResponseTurnAwaitingInputPayload;
};

export type AgentTurnResponseStepCompletePayload = {
  event_type: "turn_start" | "step_start" | "step_progress" | "step_complete" | "turn_complete" | "turn_awaiting_input";
  step_type: "inference" | "memory_retrieval" | "shield_call" | "tool_execution";
  step_id: string;
  step_details: InferenceStep | ToolExecutionStep | ShieldCallStep | MemoryRetrievalStep;
};

export type AgentTurnResponseStepProgressPayload = {
  event_type: "turn_start" | "step_start" | "step_progress" | "step_complete" | "turn_complete" | "turn_awaiting_input";
  step_type: "inference" | "memory_retrieval" | "shield_call" | "tool_execution";
  step_id: string;
  delta: TextDelta | ImageDelta | ToolCallDelta;
};

export type AgentTurnResponseStepStartPayload = {
  event_type: "turn_start" | "step_start" | "step_progress" | "step_complete" | "turn_complete" | "turn_awaiting_input";
  step_type: "inference" | "memory_retrieval" | "shield_call" | "tool_execution";
  step_id: string;
  metadata?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
};

export type AgentTurnResponseStreamChunk = {
  event: AgentTurnResponseEvent;
};

export type AgentTurnResponseTurnAwaitingInputPayload = {
  event_type: "turn_start" | "step_start" | "step_progress" | "step_complete" | "turn_complete" | "turn_awaiting_input";
  turn: Turn;
};

export type AgentTurnResponseTurnCompletePayload = {
  event_type: "turn_start" | "step_start" | "step_progress" | "step_complete" | "turn_complete" | "turn_awaiting_input";
  turn: Turn;
};

export type AgentTurnResponseTurnStartPayload = {
  event_type: "turn_start" | "step_start" | "step_progress" | "step_complete" | "turn_complete" | "turn_awaiting_input";
  turn_id: string;
};

export type AgentUpdateResponse = {
  agent_id: string;
  agent_version: number;
};

export type AggregationFunctionType = "accuracy" | "average" | "categorical_count" | "median" | "weighted_average";

export type AlgorithmConfig = LoraFinetuningConfig | QATFinetuningConfig;

export type AppendRowsRequest = {
  rows: Array<Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>>;
};

export type Approval = {
  approval_id: string;
  kind: string;
  status: string;
  agent_id?: string;
  session_id: string;
  turn_id: string;
  call_id: string;
  tool_name: string;
  toolgroup: string;
  arguments: string;
  digest: string;
  request?: null | boolean | number | string | unknown[] | Record<string, unknown>;
  requested_at: string;
  deadline: string;
  decided_at?: string;
  decided_by?: string;
  reason?: string;
};

export type BasicScoringFnParams = {
  type: ScoringFnParamsType;
  aggregation_functions: Array<AggregationFunctionType>;
  keep_reasoning?: boolean;
};

export type Benchmark = {
  identifier: string;
  provider_resource_id?: string;
  provider_id: string;
  type: "model" | "shield" | "vector_db" | "dataset" | "scoring_function" | "benchmark" | "tool" | "tool_group" | "prompt";
  dataset_id: string;
  scoring_functions: Array<string>;
  metadata: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
};

export type BenchmarkConfig = {
  eval_candidate: ModelCandidate | AgentCandidate;
  scoring_params: Record<string, ScoringFnParams>;
  num_examples?: number;
};

export type CancelRequestedPayload = {
  event_type: "cancel_requested";
  reason: string;
};

export type CancelTrainingJobRequest = {
  job_uuid: string;
};

export type ChatCompletion = {
  id: string;
  object: string;
  created: number;
  model: string;
  choices: Array<Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>>;
  usage?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
};

export type ChatCompletionChunk = {
  id: string;
  object: string;
  created: number;
  model: string;
  choices: Array<Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>>;
  usage?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
};

export type ChatCompletionRequest = {
  model: string;
  messages: Array<Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>>;
  stream?: boolean;
};

export type Checkpoint = {
  identifier: string;
  created_at: string;
  epoch: number;
  post_training_job_id: string;
  path: string;
  training_metrics?: PostTrainingMetric;
};

export type CheckpointSavedPayload = {
  event_type: "checkpoint_saved";
  identifier: string;
  epoch: number;
  step: number;
  path: string;
  kind: string;
  bytes: number;
};

export type ComparedFunction = {
  better: number;
  worse: number;
  changed: number;
  same: number;
  scores: ScoreDifference;
  rows: Array<ComparedRow>;
  has_more: boolean;
};

export type ComparedJob = {
  job_id: string;
  status: "cancelled" | "completed" | "failed" | "in_progress" | "scheduled";
  candidate: ModelCandidate | AgentCandidate;
  num_rows: number;
  num_failed: number;
  dataset_id?: string;
  dataset_version?: number;
};

export type ComparedRow = {
  row: number;
  change: "better" | "changed" | "worse";
  a: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  b: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  answer_a: string;
  answer_b: string;
};

export type Comparison = {
  benchmark_id: string;
  a: ComparedJob;
  b: ComparedJob;
  compared: number;
  other_input: number;
  only_a: number;
  only_b: number;
  scoring_functions: Record<string, ComparedFunction>;
};

export type Completion = {
  id: string;
  object: string;
  created: number;
  model: string;
  choices: Array<Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>>;
  usage?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
};

export type CompletionMessage = {
  role: "assistant";
  content: InterleavedContent;
  stop_reason: "end_of_message" | "end_of_turn" | "out_of_tokens";
  tool_calls?: Array<ToolCall>;
};

export type CompletionRequest = {
  model: string;
  prompt: null | boolean | number | string | unknown[] | Record<string, unknown>;
  stream?: boolean;
};

export type CreateAgentRequest = {
  agent_config: AgentConfig;
};

export type CreateAgentSessionRequest = {
  session_name: string;
};

export type CreateAgentTurnRequest = {
  messages: Array<UserMessage | ToolResponseMessage>;
  stream?: boolean;
  documents?: Array<{
  content: string | InterleavedContentItem | Array<InterleavedContentItem> | URL;
  mime_type: string;
}>;
  toolgroups?: Array<AgentTool>;
  tool_config?: ToolConfig;
};

export type DPOAlignmentConfig = {
  beta: number;
  loss_type: DPOLossType;
};

export type DPOLossType = "hinge" | "ipo" | "kto_pair" | "sigmoid";

export type DataConfig = {
  dataset_id: string;
  batch_size: number;
  shuffle: boolean;
  data_format: DatasetFormat;
  validation_dataset_id?: string;
  packed?: boolean;
  train_on_input?: boolean;
};

export type DataSource = URIDataSource | RowsDataSource;

export type Dataset = {
  identifier: string;
  provider_resource_id?: string;
  provider_id: string;
  type: "model" | "shield" | "vector_db" | "dataset" | "scoring_function" | "benchmark" | "tool" | "tool_group" | "prompt";
  purpose: "eval/messages-answer" | "eval/question-answer" | "post-training/messages";
  source: URIDataSource | RowsDataSource;
  metadata: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
};

export type DatasetDiff = {
  from_version: number;
  to_version: number;
  first_row: number;
  rows_added: number;
  data: Array<Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>>;
  has_more: boolean;
  url: string;
};

export type DatasetFormat = "dialog" | "instruct";

export type DecideRequest = {
  decision: "accept" | "approve" | "cancel" | "decline" | "deny";
  reason?: string;
  content?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  digest?: string;
};

export type DependencyLink = {
  parent: string;
  child: string;
  callCount: number;
};

export type Difference = {
  kind: "answer" | "approval" | "detail" | "limit" | "request" | "shield" | "tool arguments" | "tool set";
  index: number;
  event: string;
  recorded: string;
  replayed: string;
};

export type Effect = {
  key: string;
  status: string;
  agent_id?: string;
  session_id: string;
  turn_id: string;
  call_id: string;
  tool_name: string;
  toolgroup: string;
  arguments: string;
  repeatable: boolean;
  attempts: number;
  called_at: string;
  returned_at?: string;
  content?: null | boolean | number | string | unknown[] | Record<string, unknown>;
  parent?: string;
  settled_at?: string;
  settled_by?: string;
  settled_reason?: string;
};

export type EfficiencyConfig = {
  enable_activation_checkpointing?: boolean;
  enable_activation_offloading?: boolean;
  memory_efficient_fsdp_wrap?: boolean;
  fsdp_cpu_offload?: boolean;
};

export type Embeddings = {
  object: string;
  data: Array<Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>>;
  model: string;
  usage?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
};

export type EmbeddingsRequest = {
  model: string;
  input: null | boolean | number | string | unknown[] | Record<string, unknown>;
};

export type EpochDonePayload = {
  event_type: "epoch_done";
  epoch: number;
  last_step: number;
  train_loss: number;
  validation_loss?: number;
  perplexity?: number;
  metrics?: Record<string, number>;
};

export type ErasedCounts = {
  events?: number;
  sessions: number;
  turns?: number;
  jobs?: number;
  blobs?: number;
  spans: number;
};

export type Erasure = {
  id: string;
  kinds: Array<"agent" | "benchmark" | "dataset" | "session">;
  state: "done" | "in_progress";
  requested_at: string;
  completed_at?: string;
  waits_for?: string;
  erased: ErasedCounts;
  removed: Array<string>;
  remains: Array<ErasureRemainder>;
};

export type ErasureRemainder = {
  what: string;
  where: string;
  until?: string;
};

export type Error = {
  status: number;
  title: string;
  detail: string;
  instance?: string;
};

export type EvaluateResponse = {
  generations: Array<Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>>;
  scores: Record<string, ScoringResult>;
};

export type EvaluateRowsRequest = {
  input_rows: Array<Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>>;
  scoring_functions: Array<string>;
  benchmark_config: BenchmarkConfig;
};

export type ExportLogsRequest = {
  resourceLogs?: Array<Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>>;
};

export type ExportMetricsRequest = {
  resourceMetrics?: Array<Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>>;
};

export type ExportResponse = {
  partialSuccess?: PartialSuccess;
};

export type ExportTracesRequest = {
  resourceSpans?: Array<Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>>;
};

export type ForkSessionRequest = {
  turn_id?: string;
  step_id?: string;
  event?: number;
  session_name?: string;
  agent_id?: string;
  continue?: boolean;
};

export type FoundSession = {
  session_id: string;
  session_name: string;
  agent_id: string;
};

export type FramesTurn = {
  turn: number;
  turn_id: string;
  status: "abandoned" | "awaiting_input" | "cancelled" | "completed" | "failed" | "running";
  started_at?: string;
  damage?: Array<string>;
};

export type GetSpanTreeRequest = {
  attributes_to_return?: Array<string>;
  max_depth?: number;
};

export type GrammarResponseFormat = {
  type: "json_schema" | "grammar";
  bnf: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
};

export type GreedySamplingStrategy = {
  type: "greedy";
};

export type HealthInfo = {
  status?: "OK";
  detail?: string;
};

export type ImageContentItem = {
  type: "image";
  image: {
  url?: URL;
  data?: string;
};
};

export type ImageDelta = {
  type: "image";
  image: string;
};

export type ImportedSession = {
  agent_id: string;
  session_id: string;
  turns: number;
  cancelled_turns: Array<string>;
  others?: Array<ImportedSession>;
};

export type InferenceStep = {
  step_type: "inference" | "tool_execution" | "shield_call" | "memory_retrieval";
  turn_id: string;
  step_id: string;
  started_at?: string;
  completed_at?: string;
  model_response: CompletionMessage;
};

export type InterleavedContent = string | InterleavedContentItem | Array<InterleavedContentItem>;

export type InterleavedContentItem = TextContentItem | ImageContentItem;

export type Interval = {
  low: number;
  high: number;
  confidence: number;
};

export type InvokeToolRequest = {
  tool_name: string;
  kwargs: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  toolgroup_id?: string;
};

export type JaegerDependencies = {
  total?: number;
  limit?: number;
  offset?: number;
  errors?: Array<{
  code: number;
  msg: string;
  traceID?: string;
}> | null;
  data: Array<DependencyLink>;
};

export type JaegerFailure = {
  total?: number;
  limit?: number;
  offset?: number;
  errors?: Array<{
  code: number;
  msg: string;
  traceID?: string;
}> | null;
  data?: null;
};

export type JaegerNames = {
  total?: number;
  limit?: number;
  offset?: number;
  errors?: Array<{
  code: number;
  msg: string;
  traceID?: string;
}> | null;
  data: Array<string>;
};

export type JaegerOperation = {
  name: string;
  spanKind: string;
};

export type JaegerOperations = {
  total?: number;
  limit?: number;
  offset?: number;
  errors?: Array<{
  code: number;
  msg: string;
  traceID?: string;
}> | null;
  data: Array<JaegerOperation>;
};

export type JaegerSpan = {
  traceID: string;
  spanID: string;
  flags: number;
  operationName: string;
  references: Array<Reference>;
  startTime: number;
  duration: number;
  tags: Array<KeyValue>;
  logs: Array<Log>;
  processID: string;
  warnings?: Array<string> | null;
};

export type JaegerTrace = {
  traceID: string;
  spans: Array<JaegerSpan>;
  processes: Record<string, Process>;
  warnings?: Array<string> | null;
};

export type JaegerTraces = {
  total?: number;
  limit?: number;
  offset?: number;
  errors?: Array<{
  code: number;
  msg: string;
  traceID?: string;
}> | null;
  data: Array<JaegerTrace>;
};

export type Job = {
  job_id: string;
  status: "cancelled" | "completed" | "failed" | "in_progress" | "scheduled";
};

export type JobCancelledPayload = {
  event_type: "cancelled";
  reason: string;
};

export type JobCompletedPayload = {
  event_type: "completed";
  aggregated_results: Record<string, Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>>;
};

export type JobFailedPayload = {
  event_type: "failed";
  error: Error;
};

export type JobOutcome = {
  job_id: string;
  status: "cancelled" | "completed" | "failed" | "in_progress" | "scheduled";
  usage: TurnUsage;
  num_rows: number;
  num_done: number;
  num_failed: number;
  error?: Error;
  dataset_id?: string;
  dataset_version?: number;
  agent_id?: string;
  agent_version?: number;
  created_at?: string;
  completed_at?: string;
};

export type JobScheduledPayload = {
  event_type: "scheduled";
  num_rows: number;
  dataset_id?: string;
  dataset_version?: number;
};

export type JobStartedPayload = {
  event_type: "started";
  attempt: number;
};

export type JobStreamChunk = {
  event: JobScheduledPayload | JobStartedPayload | RowEvaluatedPayload | CancelRequestedPayload | JobCompletedPayload | JobFailedPayload | JobCancelledPayload;
};

export type JsonSchemaResponseFormat = {
  type: "json_schema" | "grammar";
  json_schema: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
};

export type KeyValue = {
  key: string;
  type: "binary" | "bool" | "float64" | "int64" | "string";
  value: null | boolean | number | string | unknown[] | Record<string, unknown>;
};

export type LLMAsJudgeScoringFnParams = {
  type: ScoringFnParamsType;
  judge_model: string;
  prompt_template?: string;
  judge_score_regexes: Array<string>;
  aggregation_functions: Array<AggregationFunctionType>;
  keep_reasoning?: boolean;
};

export type ListBenchmarksResponse = {
  data: Array<Benchmark>;
};

export type ListDatasetsResponse = {
  data: Array<Dataset>;
};

export type ListModelsResponse = {
  data: Array<Model>;
};

export type ListPostTrainingJobsResponse = {
  data: Array<{
  job_uuid: string;
}>;
};

export type ListProvidersResponse = {
  data: Array<ProviderInfo>;
};

export type ListRoutesResponse = {
  data: Array<RouteInfo>;
};

export type ListScoringFunctionsResponse = {
  data: Array<ScoringFunction>;
};

export type ListShieldsResponse = {
  data: Array<Shield>;
};

export type ListToolGroupsResponse = {
  data: Array<ToolGroup>;
};

export type ListToolsResponse = {
  data: Array<Tool>;
};

export type ListVectorDBsResponse = {
  data: Array<VectorDB>;
};

export type Log = {
  timestamp: number;
  fields: Array<KeyValue>;
};

export type LogEvent = {
  position: number;
  stream: string;
  version: number;
  name: string;
  recorded_at: string;
  event?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  deleted?: boolean;
  damage?: string;
};

export type LogEventPage = {
  data: Array<LogEvent>;
  next: number;
  has_more: boolean;
  head: number;
};

export type LogRecord = {
  time?: string;
  observed_time?: string;
  severity_number?: number;
  severity_text?: string;
  event_name?: string;
  body?: null | boolean | number | string | unknown[] | Record<string, unknown>;
  attributes?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  dropped_attributes_count?: number;
  flags?: number;
  trace_id?: string;
  span_id?: string;
  resource?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  scope?: SpanScope;
};

export type LoraFinetuningConfig = {
  type: "LoRA";
  lora_attn_modules: Array<string>;
  apply_lora_to_mlp: boolean;
  apply_lora_to_output: boolean;
  rank: number;
  alpha: number;
  use_dora?: boolean;
  quantize_base?: boolean;
};

export type McpEndpoint = {
  uri: string;
};

export type MemoryRetrievalStep = {
  step_type: "inference" | "tool_execution" | "shield_call" | "memory_retrieval";
  turn_id: string;
  step_id: string;
  started_at?: string;
  completed_at?: string;
  vector_db_ids: string;
  inserted_context: InterleavedContent;
};

export type MetricDataPoint = {
  timestamp: number;
  value: number;
  unit: string;
};

export type MetricLabel = {
  name: string;
  value: string;
};

export type MetricSeries = {
  metric: string;
  labels: Array<MetricLabel>;
  values: Array<MetricDataPoint>;
};

export type Model = {
  identifier: string;
  provider_id: string;
  provider_resource_id: string;
  type?: string;
  model_type?: string;
  api_model_type?: string;
  metadata?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  id: string;
  object?: string;
  created?: number;
  owned_by: string;
};

export type ModelCandidate = {
  type: "model";
  model: string;
  sampling_params: SamplingParams;
  system_message?: SystemMessage;
};

export type ModerationRequest = {
  model: string;
  input: string | Array<string>;
};

export type ModerationResponse = {
  id: string;
  model: string;
  results: Array<ModerationResult>;
};

export type ModerationResult = {
  flagged: boolean;
  metadata: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  categories?: Record<string, boolean>;
  user_message?: string;
};

export type OpenAIChatCompletionContentPartImageParam = {
  type: "image_url";
  image_url: OpenAIImageURL;
};

export type OpenAIChatCompletionContentPartTextParam = {
  type: "text";
  text: string;
};

export type OpenAIError = {
  message: string;
  type: string;
  param?: string | null;
  code?: string | number | null;
};

export type OpenAIErrorResponse = {
  error: OpenAIError;
};

export type OpenAIImageURL = {
  url: string;
  detail?: string;
};

export type OpenAIListModelsResponse = {
  object?: string;
  data: Array<OpenAIModel>;
};

export type OpenAIModel = {
  id: string;
  object: string;
  created: number;
  owned_by: string;
};

export type OptimizerConfig = {
  optimizer_type: OptimizerType;
  lr: number;
  weight_decay: number;
  num_warmup_steps: number;
};

export type OptimizerType = "adam" | "adamw" | "sgd";

export type PaginatedResponse = {
  data: Array<Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>>;
  has_more: boolean;
  url?: string;
};

export type PartialSuccess = {
  rejectedSpans?: string;
  rejectedDataPoints?: string;
  rejectedLogRecords?: string;
  errorMessage?: string;
};

export type PostTrainingJob = {
  job_uuid: string;
};

export type PostTrainingJobArtifactsResponse = {
  job_uuid: string;
  checkpoints: Array<Checkpoint>;
};

export type PostTrainingJobStatusResponse = {
  job_uuid: string;
  status: "cancelled" | "completed" | "failed" | "in_progress" | "scheduled";
  scheduled_at?: string;
  started_at?: string;
  completed_at?: string;
  resources_allocated?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  checkpoints: Array<Checkpoint>;
};

export type PostTrainingMetric = {
  epoch: number;
  train_loss: number;
  validation_loss: number;
  perplexity: number;
};

export type PreferenceOptimizeRequest = {
  job_uuid: string;
  finetuned_model: string;
  algorithm_config: DPOAlignmentConfig;
  training_config: TrainingConfig;
  hyperparam_search_config: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  logger_config: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
};

export type Process = {
  serviceName: string;
  tags: Array<KeyValue>;
};

export type ProviderInfo = {
  api: string;
  provider_id: string;
  provider_type: string;
  config: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  health: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
};

export type QATFinetuningConfig = {
  type: "QAT";
  quantizer_name: string;
  group_size: number;
};

export type QueryCondition = {
  key: string;
  op: QueryConditionOp;
  value: null | boolean | number | string | unknown[] | Record<string, unknown>;
};

export type QueryConditionOp = "eq" | "gt" | "lt" | "ne";

export type QueryLogsRequest = {
  attribute_filters?: Array<QueryCondition>;
  limit?: number;
  offset?: number;
  order_by?: Array<string>;
};

export type QueryLogsResponse = {
  data: Array<LogRecord>;
};

export type QueryMetricsRequest = {
  start_time: number;
  end_time?: number;
  granularity?: string;
  query_type: "instant" | "range";
  label_matchers?: Array<{
  name: string;
  value: string;
  operator: "!=" | "!~" | "=" | "=~";
}>;
};

export type QueryMetricsResponse = {
  data: Array<MetricSeries>;
};

export type QuerySpanTreeResponse = {
  data: Record<string, SpanWithStatus>;
};

export type QuerySpansRequest = {
  attribute_filters: Array<QueryCondition>;
  attributes_to_return: Array<string>;
  max_depth?: number;
};

export type QuerySpansResponse = {
  data: Array<Span>;
};

export type QueryTracesRequest = {
  attribute_filters?: Array<QueryCondition>;
  limit?: number;
  offset?: number;
  order_by?: Array<string>;
};

export type QueryTracesResponse = {
  data: Array<Trace>;
};

export type RedactionRules = {
  builtin?: Array<string>;
  patterns?: Record<string, string>;
  paths?: Record<string, string | Array<string>>;
};

export type Reference = {
  refType: "CHILD_OF" | "FOLLOWS_FROM";
  traceID: string;
  spanID: string;
};

export type RegexParserScoringFnParams = {
  type: ScoringFnParamsType;
  parsing_regexes: Array<string>;
  aggregation_functions: Array<AggregationFunctionType>;
  keep_reasoning?: boolean;
};

export type RegisterBenchmarkRequest = {
  benchmark_id: string;
  dataset_id: string;
  scoring_functions: Array<string>;
  provider_benchmark_id?: string;
  provider_id?: string;
  metadata?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
};

export type RegisterDatasetRequest = {
  purpose: "eval/messages-answer" | "eval/question-answer" | "post-training/messages";
  source: DataSource;
  metadata?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  dataset_id?: string;
};

export type Report = {
  session_id: string;
  verdict: "diverged" | "equivalent" | "identical" | "unreplayable";
  turns: Array<TurnReport>;
};

export type RerankData = {
  index: number;
  relevance_score: number;
};

export type RerankRequest = {
  model: string;
  query: string | OpenAIChatCompletionContentPartTextParam | OpenAIChatCompletionContentPartImageParam;
  items: Array<string | OpenAIChatCompletionContentPartTextParam | OpenAIChatCompletionContentPartImageParam>;
  max_num_results?: number;
};

export type RerankResponse = {
  data: Array<RerankData>;
};

export type ResponseFormat = JsonSchemaResponseFormat | GrammarResponseFormat;

export type ResumeAgentTurnRequest = {
  tool_responses: Array<ToolResponse>;
  stream?: boolean;
};

export type ReturnType = {
  type: string;
};

export type RouteInfo = {
  route: string;
  method: string;
  provider_types: Array<string>;
};

export type RowEvaluatedPayload = {
  event_type: "row_evaluated";
  row: number;
  generation: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  scores: Record<string, Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>>;
  attempts: number;
  duration_ms: number;
  usage: TurnUsage;
  error?: Error;
  session_id?: string;
  turn_id?: string;
};

export type RowsDataSource = {
  type: "rows";
  rows: Array<Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>>;
};

export type RunEvalRequest = {
  benchmark_config: BenchmarkConfig;
};

export type RunShieldRequest = {
  shield_id: string;
  messages: Array<SafetyMessage>;
  params?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
};

export type RunShieldResponse = {
  violation?: SafetyViolation;
};

export type SafetyMessage = {
  role: "assistant" | "developer" | "system" | "tool" | "user";
  content?: null | boolean | number | string | unknown[] | Record<string, unknown>;
  context?: null | boolean | number | string | unknown[] | Record<string, unknown>;
  name?: string;
  call_id?: string;
  tool_name?: null | boolean | number | string | unknown[] | Record<string, unknown>;
  tool_call_id?: string;
  stop_reason?: string;
  tool_calls?: Array<Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>>;
};

export type SafetyViolation = {
  violation_level: ViolationLevel;
  metadata: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  user_message?: string;
};

export type SamplingParams = {
  strategy: GreedySamplingStrategy | TopPSamplingStrategy | TopKSamplingStrategy;
  max_tokens?: number;
  repetition_penalty?: number;
  stop?: Array<string>;
};

export type SaveSpansToDatasetRequest = {
  attribute_filters: Array<QueryCondition>;
  attributes_to_save: Array<string>;
  dataset_id: string;
  max_depth?: number;
};

export type ScoreBatchRequest = {
  dataset_id: string;
  scoring_functions: Record<string, ScoringFnParams | null>;
  save_results_dataset?: boolean;
};

export type ScoreBatchResponse = {
  results: Record<string, ScoringResult>;
  dataset_id?: string;
};

export type ScoreDifference = {
  num_rows: number;
  mean_a?: number;
  mean_b?: number;
  difference?: number;
  interval?: Interval;
  method?: "newcombe" | "paired-t";
};

export type ScoreRequest = {
  input_rows: Array<Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>>;
  scoring_functions: Record<string, ScoringFnParams | null>;
};

export type ScoreResponse = {
  results: Record<string, ScoringResult>;
};

export type ScoringFnParams = LLMAsJudgeScoringFnParams | RegexParserScoringFnParams | BasicScoringFnParams;

export type ScoringFnParamsType = "basic" | "llm_as_judge" | "regex_parser";

export type ScoringFunction = {
  identifier: string;
  provider_id: string;
  type: "scoring_function";
  return_type: ReturnType;
  metadata: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  description?: string;
  params?: ScoringFnParams;
  provider_resource_id?: string;
};

export type ScoringResult = {
  score_rows: Array<Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>>;
  aggregated_results: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
};

export type Session = {
  session_id: string;
  session_name: string;
  turns: Array<Turn>;
  started_at: string;
};

export type SessionFramesPage = {
  data: Array<Array<null | boolean | number | string | unknown[] | Record<string, unknown>>>;
  turns: Array<FramesTurn>;
  next: string;
  has_more: boolean;
};

export type SessionList = {
  data: Array<SessionSummary>;
  next?: number;
};

export type SessionSummary = {
  session_id: string;
  agent_id: string;
  session_name: string;
  started_at: string;
  turn_count: number;
  status?: "abandoned" | "awaiting_input" | "cancelled" | "completed" | "failed" | "running";
  last_event_at?: string;
  input_tokens?: number;
  output_tokens?: number;
  first_words?: string;
  parent_session_id?: string;
};

export type SettleEffectRequest = {
  decision: "done" | "failed" | "retry";
  content?: string;
  reason?: string;
};

export type Shield = {
  identifier: string;
  provider_id: string;
  type: "shield";
  provider_resource_id?: string;
  params?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
};

export type ShieldCallStep = {
  step_type: "inference" | "tool_execution" | "shield_call" | "memory_retrieval";
  turn_id: string;
  step_id: string;
  started_at?: string;
  completed_at?: string;
  violation?: SafetyViolation;
};

export type Span = {
  span_id: string;
  trace_id: string;
  parent_span_id?: string;
  name: string;
  start_time: string;
  end_time?: string;
  attributes?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
};

export type SpanDetails = {
  span_id: string;
  trace_id: string;
  parent_span_id?: string;
  name: string;
  kind: string;
  start_time: string;
  end_time?: string;
  status: SpanStatus;
  status_message?: string;
  attributes?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  events?: Array<SpanEvent>;
  links?: Array<SpanLink>;
  resource?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  scope?: SpanScope;
  operation?: string;
  provider?: string;
  model?: string;
  input_tokens?: number;
  output_tokens?: number;
};

export type SpanEvent = {
  time: string;
  name: string;
  attributes?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
};

export type SpanLink = {
  trace_id: string;
  span_id: string;
  trace_state?: string;
  attributes?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
};

export type SpanScope = {
  name?: string;
  version?: string;
  attributes?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
};

export type SpanStatus = "error" | "ok";

export type SpanWithStatus = {
  span_id: string;
  trace_id: string;
  parent_span_id?: string;
  name: string;
  start_time: string;
  end_time?: string;
  attributes?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  status?: SpanStatus;
};

export type SqlColumn = {
  name: string;
  type: string;
  unit: string;
  description: string;
};

export type SqlRequest = {
  query: string;
  parameters?: Array<null | boolean | number | string | unknown[] | Record<string, unknown>> | Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  format?: "arrow" | "csv" | "json" | "ndjson" | "parquet";
  as_of?: number | string;
  limit?: number;
};

export type SqlResult = {
  columns: Array<SqlResultColumn>;
  rows: Array<Array<null | boolean | number | string | unknown[] | Record<string, unknown>>>;
  row_count: number;
  truncated: "bytes" | "rows";
};

export type SqlResultColumn = {
  name: string;
  type: string;
};

export type SqlSchema = {
  dialect: string;
  views: Array<SqlView>;
};

export type SqlView = {
  name: string;
  description: string;
  columns: Array<SqlColumn>;
};

export type Status = {
  code: number;
  message: string;
};

export type StepsDonePayload = {
  event_type: "steps_done";
  epoch: number;
  first_step: number;
  losses: Array<number>;
  learning_rates: Array<number>;
  tokens: Array<number>;
  ms: Array<number>;
};

export type SupervisedFineTuneRequest = {
  job_uuid: string;
  training_config: TrainingConfig;
  hyperparam_search_config: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  logger_config: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  model?: string;
  checkpoint_dir?: string;
  algorithm_config?: AlgorithmConfig;
};

export type SystemMessage = {
  role: "system";
  content: InterleavedContent;
};

export type TextContentItem = {
  type: "text";
  text: string;
};

export type TextDelta = {
  type: "text";
  text: string;
};

export type Tool = {
  identifier: string;
  provider_id: string;
  toolgroup_id: string;
  type: "tool";
  description: string;
  parameters: Array<ToolParameter>;
  name: string;
  input_schema?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  output_schema?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  metadata?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  provider_resource_id?: string;
};

export type ToolCall = {
  call_id: string;
  tool_name: "brave_search" | "wolfram_alpha" | "photogen" | "code_interpreter" | string;
  arguments: string;
};

export type ToolCallDelta = {
  type: "tool_call";
  tool_call: string | ToolCall;
  parse_status: "failed" | "in_progress" | "started" | "succeeded";
};

export type ToolConfig = {
  tool_choice?: "auto" | "required" | "none" | string;
  tool_prompt_format?: "function_tag" | "json" | "python_list";
  system_message_behavior?: "append" | "replace";
};

export type ToolDef = {
  name: string;
  toolgroup_id?: string;
  description?: string;
  input_schema?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  output_schema?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  metadata?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
};

export type ToolExecutionStep = {
  step_type: "inference" | "tool_execution" | "shield_call" | "memory_retrieval";
  turn_id: string;
  step_id: string;
  started_at?: string;
  completed_at?: string;
  tool_calls: Array<ToolCall>;
  tool_responses: Array<ToolResponse>;
};

export type ToolGroup = {
  identifier: string;
  provider_id: string;
  type: "tool_group";
  args?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
  mcp_endpoint?: McpEndpoint;
  provider_resource_id?: string;
};

export type ToolInvocationResult = {
  content?: InterleavedContent;
  error_message?: string;
  error_code?: number;
  metadata?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
};

export type ToolParameter = {
  name: string;
  description: string;
  parameter_type: string;
  required: boolean;
  default?: null | boolean | number | string | unknown[] | Record<string, unknown>;
};

export type ToolResponse = {
  call_id: string;
  tool_name: "brave_search" | "wolfram_alpha" | "photogen" | "code_interpreter" | string;
  content: InterleavedContent;
  metadata?: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
};

export type ToolResponseMessage = {
  role: "tool";
  call_id: string;
  content: InterleavedContent;
};

export type TopKSamplingStrategy = {
  type: "top_k";
  top_k: number;
};

export type TopPSamplingStrategy = {
  type: "top_p";
  temperature?: number;
  top_p?: number;
};

export type Trace = {
  trace_id: string;
  root_span_id: string;
  start_time: string;
  end_time?: string;
};

export type TraceSpansResponse = {
  data: Array<SpanDetails>;
  input_tokens?: number;
  output_tokens?: number;
};

export type TrainJobCancelRequestedPayload = {
  event_type: "cancel_requested";
  reason: string;
};

export type TrainJobCancelledPayload = {
  event_type: "cancelled";
  reason: string;
  step: number;
  forced: boolean;
};

export type TrainJobCompletedPayload = {
  event_type: "completed";
};

export type TrainJobFailedPayload = {
  event_type: "failed";
  error: Error;
  step: number;
};

export type TrainJobOutcome = {
  job_uuid: string;
  status: "cancelled" | "completed" | "failed" | "in_progress" | "scheduled";
  model: string;
  algorithm: string;
  dataset_id: string;
  dataset_version: number;
  epochs: number;
  epochs_done: number;
  step: number;
  total_steps?: number;
  train_loss?: number;
  validation_loss?: number;
  error?: Error;
  checkpoint_dir: string;
  created_at?: string;
  completed_at?: string;
};

export type TrainJobPreparedPayload = {
  event_type: "prepared";
  steps_done: number;
  total_steps: number;
  samples: number;
  trainable_parameters: number;
  total_parameters: number;
  resources: Record<string, null | boolean | number | string | unknown[] | Record<string, unknown>>;
};

export type TrainJobScheduledPayload = {
  event_type: "scheduled";
  model: string;
  algorithm: string;
  dataset_id: string;
  dataset_version: number;
  row_count: number;
  epochs: number;
};

export type TrainJobStartedPayload = {
  event_type: "started";
  attempt: number;
};

export type TrainJobStreamChunk = {
  event: TrainJobScheduledPayload | TrainJobStartedPayload | TrainJobPreparedPayload | StepsDonePayload | EpochDonePayload | CheckpointSavedPayload | TrainJobCancelRequestedPayload | TrainJobCompletedPayload | TrainJobFailedPayload | TrainJobCancelledPayload;
};

export type TrainingConfig = {
  n_epochs: number;
  max_steps_per_epoch: number;
  gradient_accumulation_steps: number;
  max_validation_steps?: number;
  data_config?: DataConfig;
  optimizer_config?: OptimizerConfig;
  efficiency_config?: EfficiencyConfig;
  dtype?: string;
};

export type Turn = {
  turn_id: string;
  session_id: string;
  input_messages: Array<UserMessage | ToolResponseMessage>;
  steps: Array<InferenceStep | ToolExecutionStep | ShieldCallStep | MemoryRetrievalStep>;
  output_message: CompletionMessage;
  started_at: string;
  completed_at?: string;
  output_attachments?: Array<{
  content: string | InterleavedContentItem | Array<InterleavedContentItem> | URL;
  mime_type: string;
}>;
};

export type TurnError = {
  status: number;
  title: string;
  detail: string;
};

export type TurnOutcome = {
  status: "abandoned" | "awaiting_input" | "cancelled" | "completed" | "failed" | "running";
  usage: TurnUsage;
  error?: TurnError;
  agent_version?: number;
};

export type TurnReport = {
  turn_id: string;
  number: number;
  verdict: "diverged" | "equivalent" | "identical" | "unreplayable";
  events?: number;
  difference?: Difference;
  version?: number;
  position?: number;
  reason?: string;
};

export type TurnUsage = {
  input_tokens?: number;
  output_tokens?: number;
};

export type URIDataSource = {
  type: "uri";
  uri: string;
};

export type URL = {
  uri: string;
};

export type UpdateAgentRequest = {
  agent_config: AgentConfig;
  expected_version?: number;
};

export type UserMessage = {
  role: "user";
  content: InterleavedContent;
  context?: InterleavedContent;
};

export type VectorDB = {
  identifier: string;
  provider_id: string;
  type: "vector_db";
  embedding_model: string;
  embedding_dimension: number;
  provider_resource_id?: string;
};

export type VersionInfo = {
  version: string;
};

export type ViolationLevel = "error" | "info" | "warn";

export type Waterfall = {
  trace_id: string;
  start_time: string;
  texts: Array<string>;
  span_ids: Array<string>;
  parents: Array<number>;
  names: Array<number>;
  services: Array<number>;
  operations: Array<number>;
  subjects: Array<number>;
  kinds: Array<number>;
  is_error: Array<boolean>;
  start_us: Array<number>;
  duration_us: Array<number>;
  tokens: Array<number>;
  truncated?: number;
};
