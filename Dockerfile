FROM python:3.13-slim
WORKDIR /srv/kpi
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt && useradd --create-home kpi && mkdir /data && chown kpi /data
COPY --chown=kpi . .
USER kpi
ENV KPI_DATA_DIR=/data
VOLUME /data
EXPOSE 8501
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/api/health', timeout=3)"]
CMD ["streamlit", "run", "app.py", "--server.address=0.0.0.0"]
