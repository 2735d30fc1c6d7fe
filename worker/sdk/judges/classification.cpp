// The ready judge `classification`: the data source `dataset` is a folder that read_data_set()
// understands. Parameters besides those of judge_classification(): `validation`, the number of
// training examples held out (default: a tenth).
#include <algorithm>
#include <cambrian/supervised.hpp>

cambrian::Verdict cambrian::judge(Session& session) {
  const DataSet data = read_data_set(session.data_path("dataset"));
  const std::int64_t size = data.train.size();
  const auto validation = session.integer_parameter("validation", size / 10, 1, size - 1);
  const auto labels = data.train.targets.values<std::int64_t>();
  const std::int64_t classes = 1 + *std::ranges::max_element(labels);
  return judge_classification(
      session, split_examples(data.train, data.test, validation, session.evaluation().split),
      classes);
}
