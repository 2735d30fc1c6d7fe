// The ready judge `regression`: the data source `dataset` is a folder that read_data_set()
// understands, with targets of float32. Parameters besides those of judge_regression():
// `validation`, the number of training examples held out (default: a tenth).
#include <cambrian/supervised.hpp>

cambrian::Verdict cambrian::judge(Session& session) {
  const DataSet data = read_data_set(session.data_path("dataset"));
  const std::int64_t size = data.train.size();
  const auto validation = session.integer_parameter("validation", size / 10, 1, size - 1);
  return judge_regression(
      session, split_examples(data.train, data.test, validation, session.evaluation().split));
}
